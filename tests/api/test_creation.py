"""Creating a queue: whole or not at all, with the modes that were asked for, never over something."""

from __future__ import annotations

import grp
import os
import signal
import stat
from pathlib import Path

import pytest

from rq_py import Queue, State
from rq_py.defaultqueue import default_queue_path, open_default
from rq_py.errors import QueueExists, RqError, StorageError, UnsafeMount, UsageError
from rq_py.locking import mounts
from rq_py.locking.mounts import Mount
from tests.store.children import child
from tests.store.strangers import PRELUDE


def listing(path: Path) -> list[str]:
    """Everything below ``path``."""
    return sorted(str(found.relative_to(path)) for found in path.rglob("*"))


def test_what_is_there_afterwards(queue: Queue) -> None:
    assert listing(queue.path) == sorted(
        [
            "bin",
            "bin/rqmailer",
            "data",
            "db",
            "db.1",
            "feeders",
            "generation",
            "inbox",
            "queue.yml",
            "stderr",
            "stdin",
            "stdout",
        ]
        + [f"db.1/{name}" for name in ("frozen", "lock", "maker", "queue.db", "queue.db-journal")]
    )
    assert list(queue.jobs()) == []
    assert queue.submit("true").jid == 1


def test_nothing_in_it_holds_its_path(queue: Queue, tmp_path: Path) -> None:
    queue.submit("true", cwd="/")
    for path in queue.path.rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes(), path
    moved = tmp_path / "moved"
    queue.path.rename(moved)
    assert [job.jid for job in Queue(moved).jobs()] == [1]


def test_over_an_empty_directory(queue_path: Path) -> None:
    queue_path.mkdir()
    assert Queue.create(queue_path).submit("true").jid == 1


@pytest.mark.root
def test_in_an_empty_directory_where_its_parent_is_not_ours(open_path: Path) -> None:
    place = open_path / "q"
    place.mkdir()
    os.chown(place, 65534, -1)
    open_path.chmod(0o755)
    program = (
        PRELUDE
        + """
become(65534, 65534)
say(Queue.create(arguments[0]).submit("true", cwd="/").jid)
"""
    )
    with child(program, place) as other:
        other.expect("1")


@pytest.mark.parametrize("what", ["queue", "file", "full directory", "symlink", "dangling symlink"])
def test_over_something(queue_path: Path, tmp_path: Path, what: str) -> None:
    if what == "queue":
        Queue.create(queue_path).submit("precious")
    elif what == "file":
        queue_path.write_text("precious")
    elif what == "full directory":
        queue_path.mkdir()
        (queue_path / "precious").write_text("")
    else:
        target = tmp_path / "target"
        if what == "symlink":
            target.mkdir()
        queue_path.symlink_to(target)
    before = listing(tmp_path)
    with pytest.raises(QueueExists) as caught:
        Queue.create(queue_path)
    assert str(queue_path) in str(caught.value)
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"settings": {"colour": "blue"}}, UsageError, "no such setting"),
        ({"settings": {"uuid": "0" * 32}}, UsageError, "no such setting"),
        ({"settings": {"format": "3"}}, UsageError, "no such setting"),
        ({"settings": {"lock_lease": "0"}}, UsageError, "lock_lease"),
        ({"group": "no-such-group-here"}, UsageError, "no such group"),
        ({"group": "root", "public": True}, UsageError, "exclude each other"),
    ],
)
def test_what_cannot_be_asked_for(
    queue_path: Path, tmp_path: Path, options: dict[str, object], error: type[RqError], message: str
) -> None:
    before = listing(tmp_path)
    with pytest.raises(error, match=message):
        Queue.create(queue_path, **options)  # type: ignore[arg-type]
    assert listing(tmp_path) == before


def test_without_a_parent(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="make it first"):
        Queue.create(tmp_path / "no" / "q")
    assert not (tmp_path / "no").exists()


def test_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        Queue.create(tmp_path / "file" / "q")


def test_on_an_unsafe_mount(queue_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("27 1 0:1 / / rw - nfs srv:/x rw,vers=3,nolock,local_lock=all\n")
    monkeypatch.setattr(mounts, "_MOUNTINFO", table)
    assert mounts.mount_of(queue_path) == Mount(
        "/", "nfs", frozenset({"rw", "vers=3", "nolock", "local_lock=all"}), "srv:/x"
    )
    with pytest.raises(UnsafeMount, match="mounted with"):
        Queue.create(queue_path)
    assert not queue_path.exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_leaves_a_queue_or_nothing(
    queue_path: Path, tmp_path: Path, signum: signal.Signals
) -> None:
    program = """
from rq_py import creation
make = creation._make_database
def make_slowly(*values):
    say("inside")
    hear()
    make(*values)
creation._make_database = make_slowly
Queue.create(arguments[0])
say("created")
"""
    with child(program, queue_path) as creator:
        creator.expect("inside")
        creator.send(signum)
        creator.tell()
        assert creator.end() != 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    if queue_path.exists():
        assert Queue(queue_path).submit("true").jid == 1


@pytest.mark.parametrize("is_there", [False, True])
def test_an_error_in_the_middle_leaves_nothing(
    queue_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    from rq_py import creation

    if is_there:
        queue_path.mkdir()
    before = listing(tmp_path)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(creation, "_make_database", fail)
    with pytest.raises(KeyboardInterrupt):
        Queue.create(queue_path)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("is_there", [False, True])
def test_several_at_once_make_one_queue(queue_path: Path, tmp_path: Path, is_there: bool) -> None:
    if is_there:
        queue_path.mkdir()
    program = """
say("waiting")
hear()
try:
    say("created", Queue.create(arguments[0]).settings.uuid)
except RqError as error:
    say(type(error).__name__)
"""
    with child(program, queue_path) as a, child(program, queue_path) as b, child(program, queue_path) as c:
        for creator in (a, b, c):
            creator.expect("waiting")
        for creator in (a, b, c):
            creator.tell()
        said = sorted(creator.line() for creator in (a, b, c))
    assert said[:2] == ["QueueExists", "QueueExists"]
    assert said[2] == f"created {Queue(queue_path).settings.uuid}"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("umask", [0o077, 0o000, 0o027])
@pytest.mark.parametrize(("public", "directory", "file"), [(False, 0o700, 0o600), (True, 0o755, 0o644)])
def test_modes_are_those_of_the_queue_whatever_the_umask(
    queue_path: Path, tmp_path: Path, umask: int, public: bool, directory: int, file: int
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    before = os.umask(umask)
    try:
        queue = Queue.create(queue_path, public=public)
        queue.submit("true", stdin=b"x", data=tmp_path / "tree")
        queue.submit("true", data=tmp_path / "tree" / "file")
        queue.store.generations.supersede(queue.store.generations.current(), "a test")
        queue.submit("true")
    finally:
        os.umask(before)
    for path in (queue.path, *queue.path.rglob("*")):
        if not path.is_symlink():
            is_program = path.parent == queue.dir.bin
            expected = directory if path.is_dir() or is_program else file
            assert oct(stat.S_IMODE(path.stat().st_mode)) == oct(expected), path


@pytest.mark.root
def test_a_group_shares_it(open_path: Path) -> None:
    group = next(entry for entry in grp.getgrall() if entry.gr_gid not in {0, os.getgid()})
    before = os.umask(0o077)
    try:
        queue = Queue.create(open_path / "q", group=group.gr_name)
    finally:
        os.umask(before)
    program = """
become(int(arguments[2]), int(arguments[1]))
queue = Queue(arguments[0])
job = queue.submit("true", stdin=b"x", data=arguments[0] + "/stdin", cwd="/")
if arguments[3] == "supersede":
    queue.store.generations.supersede(queue.store.generations.current(), "a test")
say(queue.submit("true", cwd="/").jid)
"""
    with child(PRELUDE + program, queue.path, group.gr_gid, 23456, "supersede") as first:
        assert first.line() == "2", first.errors()
    with child(PRELUDE + program, queue.path, group.gr_gid, 23457, "stay") as second:
        assert second.line() == "4", second.errors()
    queue.submit("true", stdin=b"of root")
    for path in (queue.path, *queue.path.rglob("*")):
        if path.is_symlink():
            continue
        found = path.stat()
        assert found.st_gid == group.gr_gid, path
        of_file = 0o770 if path.parent == queue.dir.bin else 0o660
        assert oct(stat.S_IMODE(found.st_mode)) == oct(0o2770 if path.is_dir() else of_file), path


@pytest.mark.root
def test_a_group_that_one_is_not_in(open_path: Path) -> None:
    open_path.chmod(0o777)
    group = next(entry for entry in grp.getgrall() if entry.gr_gid not in {0, 1000})
    program = """
import grp
become(54321, 54321)
try:
    Queue.create(arguments[0], group=arguments[1])
except RqError as error:
    say(type(error).__name__, error)
"""
    with child(PRELUDE + program, open_path / "q", group.gr_name) as stranger:
        assert stranger.line() == f"UsageError {group.gr_name}: you are not a member of this group"
    assert list(open_path.iterdir()) == []


def test_the_default_queue_is_made_on_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert default_queue_path() == tmp_path / "share" / "rqpy" / "queue"
    assert open_default().submit("true").jid == 1
    assert [job.state for job in open_default().jobs()] == [State.PENDING]
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_queue_path() == tmp_path / "home" / ".local" / "share" / "rqpy" / "queue"
