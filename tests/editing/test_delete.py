"""Delete: never a running job; the files go too, and a kill in between leaves nothing for good."""

from __future__ import annotations

import signal

import pytest

from rq_py import JobSpec, Queue, State
from rq_py.claims import Verdict, finish
from rq_py.errors import UsageError
from rq_py.selection import Selector
from tests.editing.conftest import (
    DEAD,
    FINISHED,
    HOLDING,
    PENDING,
    RUNNING,
    claimed,
    ended,
    files,
)
from tests.store.children import child


@pytest.mark.parametrize(
    ("selectors", "deleted"),
    [
        (["all"], [PENDING, HOLDING, FINISHED, DEAD]),
        (["finished", "dead"], [FINISHED, DEAD]),
        ([PENDING, RUNNING, "holding"], [PENDING, HOLDING]),
        ([RUNNING], []),
        ([(jid for jid in (DEAD, FINISHED))], [FINISHED, DEAD]),
        ([iter(())], []),
    ],
)
def test_what_is_selected_and_does_not_run(
    every_state: Queue, selectors: list[Selector], deleted: list[int]
) -> None:
    queue = every_state
    edited = queue.delete(*selectors)
    assert [job.jid for job in edited] == deleted
    assert len(edited) == len(deleted)
    kept = sorted({1, 2, 3, 4, 5} - set(deleted))
    assert [job.jid for job in queue.jobs()] == kept
    assert [tuple(row) for row in edited.refused] == ([(RUNNING, "running")] if RUNNING in selectors else [])
    kinds = {"stdin": kept, "stdout": kept, "stderr": kept}
    assert files(queue) == {
        f"{kind}/{jid}" for kind, jids in kinds.items() for jid in jids if kind == "stdin" or jid >= RUNNING
    }
    with queue.store.read() as tx:
        assert tx.execute("SELECT count(*) FROM removals").fetchone() == (0,)


def test_the_rows_are_returned_as_they_were(every_state: Queue) -> None:
    before = list(every_state.jobs("finished", "pending"))
    edited = every_state.delete("finished", "pending")
    assert list(edited) == before
    assert list(edited) == before  # again


def test_without_rows_only_the_count_is_returned(every_state: Queue) -> None:
    edited = every_state.delete("all", keep_rows=False)
    assert (edited.count, list(edited)) == (4, [])


def test_nothing_named_is_not_everything(every_state: Queue) -> None:
    for edit in (every_state.delete, every_state.update, every_state.resubmit):
        with pytest.raises(UsageError, match="name the jobs"):
            edit()
    with pytest.raises(UsageError, match="running jobs cannot be deleted"):
        every_state.delete("running")
    assert len(list(every_state.jobs())) == 5


def test_what_does_not_exist_is_told(queue: Queue) -> None:
    queue.submit("true")
    edited = queue.delete(7, 1, 9, "finished")
    assert [row[0] for row in edited.missing] == [7, 9]
    assert edited.unmatched == [State.FINISHED]
    assert len(edited) == 1


def test_data_goes_too(queue: Queue, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("data")
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_text("content")
    queue.submit("true", data=folder)
    queue.submit("true", data=folder / "sub" / "file")
    queue.submit("true", data=folder)
    queue.delete(1, 2)
    assert files(queue) == {"data/3"}


def test_the_end_of_a_deleted_attempt_is_nobodys(every_state: Queue) -> None:
    (dead,) = every_state.jobs(DEAD)
    every_state.delete(DEAD)
    with every_state.store.write() as tx:
        assert finish(tx, ended(dead)) is Verdict.LOST


#: Deletes, and is killed after the commit: before any file is removed, or after those of the first job.
_KILLED = """
from rq_py import removal
remove_files = removal.remove_files
left = int(arguments[1])
def remove_some(*values):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    remove_files(*values)
removal.remove_files = remove_some
Queue(arguments[0]).delete("finished", "dead")
"""


@pytest.mark.parametrize("removed", [0, 1])
@pytest.mark.parametrize("by", ["tidy", "delete"])
def test_killed_between_the_commit_and_the_files(every_state: Queue, removed: int, by: str) -> None:
    queue = every_state
    with child(_KILLED, queue.path, removed) as deleter:
        assert deleter.end() == -signal.SIGKILL
    assert [job.jid for job in queue.jobs()] == [PENDING, HOLDING, RUNNING]
    assert len(files(queue)) == 11 - 3 * removed
    if by == "tidy":
        assert queue.tidy() == []  # what every feeder does when it starts
    else:
        queue.delete(PENDING)
    kept = {"stdin/2", "stdin/3", "stdout/3", "stderr/3"} | ({"stdin/1"} if by == "tidy" else set())
    assert files(queue) == kept
    with queue.store.read() as tx:
        assert tx.execute("SELECT count(*) FROM removals").fetchone() == (0,)


def test_killed_before_the_commit_nothing_is_deleted(every_state: Queue) -> None:
    program = """
from rq_py.editing import edits
edits.note = lambda *values: os.kill(os.getpid(), signal.SIGKILL)
Queue(arguments[0]).delete("all")
"""
    before = files(every_state)
    with child(program, every_state.path) as deleter:
        assert deleter.end() == -signal.SIGKILL
    assert len(list(every_state.jobs())) == 5
    every_state.tidy()
    assert files(every_state) == before


def test_more_jobs_than_a_batch_and_never_a_running_one(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rq_py.selection.BATCH", 7)
    monkeypatch.setattr("rq_py.removal.BATCH", 7)
    queue.submit_many([JobSpec("true", tag="x") for _ in range(50)], stdin=b"x")
    running = {job.jid for job in claimed(queue, 5)}
    edited = queue.delete("all")
    assert [job.jid for job in edited] == sorted(set(range(1, 51)) - running)
    assert {job.jid for job in queue.jobs()} == running
    assert files(queue) == {f"stdin/{jid}" for jid in running}


def test_in_bounded_memory(queue: Queue) -> None:
    program = """
import resource
from rq_py import JobSpec
queue = Queue(arguments[0])
queue.submit_many(JobSpec("true") for _ in range(100_000))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
say(len(queue.update("all", priority=7)))
say(len(queue.resubmit("all", tag="again")))
say(len(queue.delete(range(1, 100_001))))
say(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    with child(program, queue.path) as editor:
        for _ in range(3):
            editor.expect("100000", 60)
        assert int(editor.line()) < 24 * 1024, "KiB more than before"
    assert list(queue.jobs()) == []
