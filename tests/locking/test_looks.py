"""How looks count: a slow one, a gap, a change and a missing file start anew; each look asks the server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rq_py.locking import looks
from rq_py.locking.looks import LONGEST_GAP, LONGEST_LOOK, Watch


class Clock:
    """A clock that stands still until it is moved; ``per_reading`` seconds pass at each reading."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.per_reading = 0.0

    def __call__(self) -> float:
        self.now += self.per_reading
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(looks, "boottime", clock)
    return clock


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record"
    path.write_bytes(b"one")
    return path


def look(watch: Watch, clock: Clock, times: int, every: float = 1.0) -> None:
    """Take looks at even distances."""
    for _ in range(times):
        clock.now += every
        watch.look()


def test_unchanged_for_as_long_as_looks_have_seen_it(record: Path, clock: Clock) -> None:
    watch = Watch(record)
    assert watch.unchanged_seconds == 0
    watch.look()
    assert watch.unchanged_seconds == 0
    look(watch, clock, 10)
    assert watch.unchanged_seconds == pytest.approx(10)
    clock.now += 3  # nobody looked: that is not known
    assert watch.unchanged_seconds == pytest.approx(10)


def test_a_change_starts_anew(record: Path, clock: Clock) -> None:
    watch = Watch(record)
    look(watch, clock, 5)
    record.write_bytes(b"two")
    clock.now += 1
    watch.look()
    assert watch.unchanged_seconds == 0
    assert watch.content == b"two"
    look(watch, clock, 2)
    assert watch.unchanged_seconds == pytest.approx(2)


def test_a_gap_starts_anew(record: Path, clock: Clock) -> None:
    watch = Watch(record)
    look(watch, clock, 5)
    look(watch, clock, 1, every=LONGEST_GAP - 0.01)
    assert watch.unchanged_seconds > 0
    look(watch, clock, 1, every=LONGEST_GAP)
    assert watch.unchanged_seconds == 0
    look(watch, clock, 2)
    assert watch.unchanged_seconds == pytest.approx(2)


def test_a_slow_look_starts_anew(record: Path, clock: Clock) -> None:
    watch = Watch(record)
    look(watch, clock, 5)
    clock.per_reading = LONGEST_LOOK - 0.01
    watch.look()
    assert watch.unchanged_seconds > 0
    clock.per_reading = LONGEST_LOOK
    watch.look()
    assert watch.unchanged_seconds == 0
    clock.per_reading = 0
    look(watch, clock, 2)
    assert watch.unchanged_seconds == pytest.approx(2)


def test_a_failed_look_starts_anew(record: Path, clock: Clock, tmp_path: Path) -> None:
    watch = Watch(record)
    look(watch, clock, 5)
    aside = tmp_path / "aside"
    record.rename(aside)
    record.symlink_to(aside)  # the open refuses it: an error other than "not there"
    look(watch, clock, 1)
    assert watch.unchanged_seconds == 0
    assert not watch.is_gone
    record.unlink()
    aside.rename(record)
    look(watch, clock, 3)
    assert watch.unchanged_seconds == pytest.approx(2)


def test_a_missing_file_is_gone_and_comes_back(record: Path, clock: Clock) -> None:
    watch = Watch(record)
    assert not watch.is_gone
    look(watch, clock, 3)
    assert not watch.is_gone
    record.unlink()
    look(watch, clock, 1)
    assert watch.is_gone
    assert watch.unchanged_seconds == 0
    look(watch, clock, 3)
    assert watch.unchanged_seconds == pytest.approx(3)
    record.write_bytes(b"back")
    look(watch, clock, 1)
    assert not watch.is_gone
    assert watch.unchanged_seconds == 0


def test_each_look_opens_the_file_anew(record: Path, clock: Clock, tmp_path: Path) -> None:
    watch = Watch(record)
    watch.look()
    other = tmp_path / "other"
    other.write_bytes(b"another file")
    os.rename(other, record)
    look(watch, clock, 1)
    assert watch.content == b"another file"
    assert not [name for name in os.listdir("/proc/self/fd") if _target(name) == str(record)]


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return ""


def test_the_time_is_counted_by_the_clock_that_goes_on_through_a_suspend() -> None:
    from rq_py.runner import identity

    assert getattr(looks, "boottime") is identity.boottime  # noqa: B009
