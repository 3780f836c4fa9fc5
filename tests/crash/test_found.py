"""What the sweeps have found, each at the very call: it stays mended."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rq_py import Queue
from tests.crash.calls import Call
from tests.crash.operations import filled
from tests.crash.summary import age, differences, summary
from tests.crash.tracer import GO, Deed, Fail, Kill, Shorten, is_possible
from tests.crash.world import World

pytestmark = pytest.mark.skipif(not is_possible(), reason="this machine lets nobody trace, or is no x86_64")

Judge = Callable[[Call], Deed]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A queue with jobs in all states but running."""
    world = World(tmp_path, f"crash-found-{os.getpid()}")
    try:
        world.make(filled)
        yield world
    finally:
        world.end()


def _first(name: str, ending: str, deed: Deed) -> Judge:
    """That deed to the first call ``name`` of a file whose path ends so."""
    done: list[Call] = []

    def judge(call: Call) -> Deed:
        if not done and call.kind.name == name and call.path().endswith(ending):
            done.append(call)
            return deed
        return GO

    return judge


def _words(world: World, text: str) -> list[str]:
    return [str(world.queue), *text.format(world.folder).split()]


@pytest.mark.parametrize("edit", ["stdin={0}/in/other data={0}/in/news tag=y", "stdin= data= tag=y"])
@pytest.mark.parametrize("then", ["list all", "submit true"])
def test_an_edit_that_is_killed_before_its_commit_leaves_stdin_and_data(
    world: World, edit: str, then: str
) -> None:
    before = summary(world.folder)["q"]
    judge = _first("fdatasync", "queue.db-journal", Kill())
    assert world.traced(_words(world, f"update 4 {edit}"), judge).status == -signal.SIGKILL
    assert not (world.queue / "data" / "4" / "a").exists() or "news" in edit
    world.good(*then.split())
    after = summary(world.folder)["q"]
    jobs = after["jobs"]
    assert isinstance(jobs, list)
    assert differences(before, {**after, "jobs": jobs[:6]}) == []
    assert not [*world.queue.glob("stdin/.*.aside"), *world.queue.glob("data/.*.aside")]


def test_an_edit_that_is_killed_after_its_commit_stays(world: World) -> None:
    def judge(call: Call) -> Deed:
        """Kill when the lock is let go: what was put aside is still there then, and the token is noted."""
        is_unlock = call.kind.name == "close" and call.path().endswith("/lock")
        return Kill() if is_unlock and any(world.queue.glob("data/.*.aside")) else GO

    words = _words(world, "update 4 stdin={0}/in/other data={0}/in/news tag=y")
    assert world.traced(words, judge).status == -signal.SIGKILL
    world.good("submit", "true")
    (job,) = (job for job in Queue(world.queue).jobs() if job.jid == 4)
    assert job.tag == "y"
    assert (world.queue / "stdin" / "4").read_text().startswith("other")
    assert (world.queue / "data" / "4" / "a").read_text() == "news a\n"


def test_settings_that_are_written_in_parts_are_whole(world: World) -> None:
    def halve(call: Call) -> Deed:
        is_it = call.kind.name == "write" and ".queue.yml." in call.path()
        return Shorten(call.arguments[2] // 2) if is_it and call.arguments[2] > 1 else GO

    assert world.traced(_words(world, "configure retention=90d"), halve).status == 0
    assert Queue(world.queue).settings.retention == "90d"


def test_settings_that_were_not_renamed_are_tidied(world: World) -> None:
    def kill(call: Call) -> Deed:
        return Kill() if call.kind.name == "rename" and ".queue.yml." in call.path() else GO

    assert world.traced(_words(world, "configure retention=90d"), kill).status == -signal.SIGKILL
    (left,) = world.queue.glob(".queue.yml.*")
    assert Queue(world.queue).tidy() == []
    assert left.exists()
    age(world.folder, 2 * 86400.0)
    assert Queue(world.queue).tidy() == [left]
    assert Queue(world.queue).settings.retention == "none"


def test_data_that_cannot_be_removed_is_removed_later(world: World) -> None:
    judge = _first("unlinkat", "data/2/a", Fail(errno.EIO))
    result = world.traced(_words(world, "delete 2"), judge)
    assert "the jobs are deleted, but some of their files are not yet" in result.stderr
    assert (world.queue / "data" / "2" / "a").exists()
    Queue(world.queue).tidy()
    assert not (world.queue / "data" / "2").exists()


def test_a_name_that_may_not_last_is_said_to_be_there(world: World) -> None:
    judge = _first("fsync", "now/out", Fail(errno.EIO))
    result = world.traced(_words(world, "backup {0}/out/b"), judge)
    assert result.status == 1
    assert result.stderr == (
        f"rqpy: {world.folder}/out/b: is there, but may not outlive a crash of the machine or the server: "
        "Input/output error\n"
    )
    assert (world.folder / "out" / "b" / "queue.yml").exists()


def test_a_new_queue_that_cannot_be_opened_is_said_to_be_there(world: World) -> None:
    path = world.folder / "out" / "new"
    result = world.traced([str(path), "create"], _first("read", "new/queue.yml", Fail(errno.EIO)))
    assert (result.status, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"rqpy: {path}: is there, but cannot be opened: {path}/queue.yml: ")
    assert Queue(path).submit("true").jid == 1


def test_settings_that_may_not_last_are_said_to_be_changed(world: World) -> None:
    judge = _first("fsync", "now/q", Fail(errno.EIO))
    result = world.traced(_words(world, "configure retention=90d"), judge)
    assert result.status == 1
    assert result.stderr == (
        f"rqpy: {world.queue}/queue.yml: is changed, but may not outlive a crash of the machine or the "
        "server: Input/output error\n"
    )
    assert Queue(world.queue).settings.retention == "90d"


def test_an_old_snapshot_that_cannot_be_removed_is_no_failure(world: World) -> None:
    world.good("snapshot", f"{world.folder}/out/s")
    judge = _first("close", ".old.rqpy-draft/db.1", Fail(errno.EIO))
    result = world.traced(_words(world, "snapshot {0}/out/s"), judge)
    assert (result.status, result.stderr) == (0, "")


def test_a_copy_that_cannot_be_locked_is_given_up(world: World) -> None:
    """Else it would hold the queue lock for ever."""

    locks: list[Call] = []

    def judge(call: Call) -> Deed:
        if call.is_lock and ".rqpy-draft/" in call.path():
            locks.append(call)
        return Fail(errno.ENOLCK) if len(locks) >= 5 and locks[-1] is call else GO

    result = world.traced(_words(world, "snapshot {0}/out/s"), judge)
    assert result.status == 1
    (line,) = result.stderr.splitlines()
    assert "/queue.db: cannot be locked" in line
    assert list((world.folder / "out").iterdir()) == []


def test_a_packed_rotation_is_not_left_half_removed(world: World) -> None:
    judge = _first("unlinkat", "/queue.yml", Kill())
    assert world.traced(_words(world, "rotate --tgz {0}/out/r"), judge).status == -signal.SIGKILL
    assert [path.name for path in (world.folder / "out").iterdir() if not path.name.startswith(".")] == [
        "r.tgz"
    ]
    age(world.folder, 2 * 86400.0)
    world.good("snapshot", f"{world.folder}/out/s")  # the next copy beside it tidies
    assert sorted(path.name for path in (world.folder / "out").iterdir()) == ["r.tgz", "s"]
