"""The queue lock between real processes: exclusive, shared, timeouts, stuck and superseded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rq_py.errors import LockTimeout
from rq_py.locking.looks import Watch
from rq_py.locking.owner import Owner
from rq_py.locking.queuelock import FIRST_PAUSE, HeldLock, HolderStuck, Superseded, acquire, next_pause
from rq_py.locking.record import SIZE, Phase, Record
from tests.store.children import child

_HOLDER = """
from pathlib import Path
from rq_py.locking.looks import Watch
from rq_py.locking.owner import Owner
from rq_py.locking.queuelock import acquire
from rq_py.locking.record import Phase
may_write = arguments[1] == "write"
lock = acquire(Path(arguments[0]), Owner.of_this_process(), may_write=may_write, durable=False,
               watch=Watch(Path(arguments[0])), lock_lease=60, timeout=10, is_superseded=lambda: False)
lock.write_record(Phase.WRITING, durable=True)
say("holding")
hear()
lock.close()
say("released")
hear()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "lock"
    path.write_bytes(b"\n" * SIZE)
    return path


def take(
    path: Path,
    *,
    may_write: bool = True,
    timeout: float | None = 0.2,
    lock_lease: float = 60.0,
    is_superseded: Callable[[], bool] = lambda: False,
    watch: Watch | None = None,
) -> HeldLock:
    """Acquire with the defaults of these tests."""
    return acquire(
        path,
        Owner.of_this_process(),
        may_write=may_write,
        durable=True,
        lock_lease=lock_lease,
        timeout=timeout,
        is_superseded=is_superseded,
        watch=watch or Watch(path),
    )


@pytest.mark.parametrize(
    ("theirs", "ours", "excludes"),
    [("write", True, True), ("write", False, True), ("read", True, True), ("read", False, False)],
)
def test_who_excludes_whom(path: Path, theirs: str, ours: bool, excludes: bool) -> None:
    with child(_HOLDER, path, theirs) as holder:
        holder.expect("holding")
        if excludes:
            with pytest.raises(LockTimeout):
                take(path, may_write=ours)
            holder.tell()
            holder.expect("released")
        take(path, may_write=ours).close()


def test_a_killed_holder_frees_the_lock_and_leaves_its_record(path: Path) -> None:
    with child(_HOLDER, path, "write") as holder:
        holder.expect("holding")
        holder.kill()
    lock = take(path)
    record = lock.read_record()
    lock.close()
    assert record is not None
    assert (record.owner.pid, record.phase) == (holder.pid, Phase.WRITING)


def test_a_released_lock_has_a_free_record(path: Path) -> None:
    with child(_HOLDER, path, "write") as holder:
        holder.expect("holding")
        with pytest.raises(LockTimeout, match=f"held by pid {holder.pid} of uid"):
            take(path)
        holder.tell()
        holder.expect("released")
        lock = take(path)
        record = lock.read_record()
        lock.close()
    assert record is not None
    assert record.phase is Phase.FREE


def test_the_message_without_a_record(path: Path) -> None:
    with child(_HOLDER, path, "read") as holder:  # a reader without permission leaves none
        holder.expect("holding")
        with pytest.raises(LockTimeout, match=r"lock: held, not free within 0\.2 s"):
            take(path)
    assert path.read_bytes() == b"\n" * SIZE


def test_a_timeout_of_zero_tries_once(path: Path) -> None:
    take(path, timeout=0).close()
    with child(_HOLDER, path, "write") as holder:
        holder.expect("holding")
        with pytest.raises(LockTimeout):
            take(path, timeout=0)


def test_a_holder_that_changes_nothing_is_stuck(path: Path) -> None:
    with child(_HOLDER, path, "write") as holder:
        holder.expect("holding")
        with pytest.raises(HolderStuck):
            take(path, timeout=None, lock_lease=1.0)
        assert not [name for name in os.listdir("/proc/self/fd") if _is_open(name, path)]


def _is_open(descriptor: str, path: Path) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}") == str(path)
    except FileNotFoundError:
        return False


def test_a_waiter_whose_generation_was_superseded_gives_up(path: Path) -> None:
    with child(_HOLDER, path, "write") as holder:
        holder.expect("holding")
        with pytest.raises(Superseded):
            take(path, timeout=None, is_superseded=lambda: True)


def test_beats_come_at_most_once_a_second(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rq_py.locking import queuelock

    now = 1000.0
    monkeypatch.setattr(queuelock, "boottime", lambda: now)
    lock = take(path)
    lock.write_record(Phase.WRITING, durable=True)

    def beat_count() -> int:
        record = lock.read_record()
        assert record is not None
        return record.beat

    first = beat_count()
    for _ in range(5):
        lock.beat()
    assert beat_count() == first
    now += 1.0
    lock.beat()
    lock.beat()
    assert beat_count() == first + 1
    lock.close()


def test_a_lock_that_was_never_named_clears_nobodys_record(path: Path) -> None:
    elsewhere = Record(Owner("elsewhere", 0, 1, 1, "x"), Phase.WRITING, "0123456789abcdef").encode()
    path.write_bytes(elsewhere)
    take(path).close()
    assert path.read_bytes() == elsewhere


def test_a_symlink_or_nothing_in_the_place_of_the_lock(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(OSError, match="link"):
        take(link)
    with pytest.raises(FileNotFoundError):
        take(tmp_path / "nothing")


def test_it_is_a_posix_lock_on_the_whole_file(path: Path) -> None:
    lock = take(path)
    inode = path.stat().st_ino
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    mine = [line for line in lines if line[4] == str(os.getpid()) and line[5].endswith(f":{inode}")]
    assert [(line[1], line[3], line[6], line[7]) for line in mine] == [("POSIX", "WRITE", "0", "EOF")]
    lock.close()


@pytest.mark.parametrize("is_shared", [False, True])
def test_pauses_grow_at_first_and_shrink_again_for_those_who_wait_long(is_shared: bool) -> None:
    """So that the lock is not always had by those who have just let it go."""
    pauses, waited = [FIRST_PAUSE], 0.0
    while waited < 3:
        pauses.append(next_pause(pauses[-1], waited, is_shared=is_shared))
        waited += pauses[-1]
    most = pauses.index(max(pauses))
    assert pauses[: most + 1] == sorted(pauses[: most + 1])
    assert pauses[most:] == sorted(pauses[most:], reverse=True)
    assert max(pauses) > 1.5 * pauses[-1] > 5 * FIRST_PAUSE
