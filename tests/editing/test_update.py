"""Update: only jobs that wait, all at once; who may claim them follows; stdin and data are replaced."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue, State
from rq_py.editing.changes import Changes
from rq_py.errors import InputError, StorageError, UsageError
from tests.editing.conftest import (
    DEAD,
    FINISHED,
    HOLDING,
    PENDING,
    RUNNING,
    STATES,
    claimed,
    files,
    ready,
)


def test_pending_and_holding_jobs_only(every_state: Queue) -> None:
    queue = every_state
    before = list(queue.jobs(RUNNING, FINISHED, DEAD))
    edited = queue.update([1, 2, 3, 4, 5, 6], priority=42, command="changed", tag="new")
    assert [(job.jid, job.priority, job.command, job.tag) for job in edited] == [
        (PENDING, 42, "changed", "new"),
        (HOLDING, 42, "changed", "new"),
    ]
    assert list(edited) == list(queue.jobs(PENDING, HOLDING))
    assert [tuple(row) for row in edited.refused] == [
        (RUNNING, "running"),
        (FINISHED, "finished"),
        (DEAD, "dead"),
    ]
    assert [row[0] for row in edited.missing] == [6]
    assert list(queue.jobs(RUNNING, FINISHED, DEAD)) == before
    assert [job.jid for job in queue.update("all", priority=1)] == [PENDING, HOLDING]


@pytest.mark.parametrize("state", [State.RUNNING, State.FINISHED, State.DEAD])
def test_whole_states_that_cannot_be_updated(every_state: Queue, state: State) -> None:
    with pytest.raises(UsageError, match=f"{state} jobs cannot be updated"):
        every_state.update(state, priority=1)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, "say what to change"),
        ({"state": "running"}, "cannot be set"),
        ({"state": "finished"}, "cannot be set"),
        ({"prio": 3}, "prio: cannot be changed"),
        ({"priority": 2**63}, "64 bits"),
        ({"priority": "7"}, "not a whole number"),
        ({"command": " "}, "blank"),
        ({"tag": "a\nb"}, "newline"),
        ({"cwd": "relative"}, "absolute"),
        ({"restartable": "yes"}, "neither true nor false"),
        ({"env": {"1": "x"}}, "name of a variable"),
        ({"stdin": "/no/such/file"}, "No such file"),
        ({"data": "/no/such/file"}, "No such file"),
    ],
)
def test_changes_that_make_no_sense(every_state: Queue, changes: Changes, error: str) -> None:
    before = list(every_state.jobs()), files(every_state)
    with pytest.raises((UsageError, StorageError), match=error):
        every_state.update("pending", **changes)
    assert (list(every_state.jobs()), files(every_state)) == before


def test_what_is_not_given_stays_and_none_unsets(queue: Queue) -> None:
    queue.submit("one", priority=3, tag="t", runner="b", restartable=True, env={"A": "1"}, cwd="/")
    (before,) = queue.jobs()
    (after,) = queue.update(1, priority=4)
    assert after == before._replace(priority=4)
    (after,) = queue.update(1, tag=None, runner=None, restartable=False, env=None, cwd="/tmp")
    assert after == before._replace(
        priority=4, tag=None, required_runner=None, restartable=False, env=None, cwd="/tmp"
    )


def test_who_may_claim_follows_state_and_runner(queue: Queue) -> None:
    queue.submit_many([JobSpec("1"), JobSpec("2", required_runner="b"), JobSpec("3", stage=True)])
    assert ready(queue) == {1: "", 2: "b", 3: None}
    queue.update(1, runner="c")
    queue.update(2, runner=None)
    queue.update(3, runner="c")
    assert ready(queue) == {1: "c", 2: "", 3: None}
    queue.update("all", state="holding")
    assert ready(queue) == {1: None, 2: None, 3: None}
    assert claimed(queue, 3, "c") == []
    queue.update([1, 3], state="pending")
    assert ready(queue) == {1: "c", 2: None, 3: "c"}
    queue.update("all", priority=5, tag="x")  # touches neither
    assert ready(queue) == {1: "c", 2: None, 3: "c"}
    queue.update(2, state="pending", runner="d")
    assert ready(queue) == {1: "c", 2: "d", 3: "c"}
    assert [job.jid for job in claimed(queue, 3, "c")] == [1, 3]


def test_a_new_priority_changes_the_order(queue: Queue) -> None:
    queue.submit_many([JobSpec("1"), JobSpec("2"), JobSpec("3")])
    queue.update(3, priority=5)
    assert [job.jid for job in claimed(queue, 3)] == [3, 1, 2]


def test_stdin_and_data_are_replaced_added_and_removed(queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("data")
    (tmp_path / "folder").mkdir()
    queue.submit("cat", stdin=b"old", data=tmp_path / "file")
    queue.submit("cat")
    edited = queue.update("pending", stdin=io.BytesIO(b"new"), data=tmp_path / "folder")
    assert [(job.has_stdin, job.has_data) for job in edited] == [(True, True)] * 2
    assert [queue.stream(jid, "stdin").read_bytes() for jid in (1, 2)] == [b"new", b"new"]
    assert [queue.dir.data(jid).is_dir() for jid in (1, 2)] == [True, True]
    queue.update(1, stdin=None, data=None)
    assert files(queue) == {"stdin/2", "data/2"}
    assert [(job.has_stdin, job.has_data) for job in queue.jobs()] == [(False, False), (True, True)]
    queue.update(1, stdin=None)  # there is none
    queue.delete("all")
    assert files(queue) == set()


def test_a_job_that_is_claimed_while_its_stdin_is_read_keeps_the_old_one(queue: Queue) -> None:
    """The choice made without the lock is made again with it."""
    queue.submit_many([JobSpec("one"), JobSpec("two")], stdin=b"old")

    class Claiming(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            claimed(queue, 1)
            return super().read(size)

    edited = queue.update([1, 2], stdin=Claiming(b"new"), command="changed")
    assert [job.jid for job in edited] == []
    assert len(list(edited.refused)) == 2
    assert [(job.state, job.command) for job in queue.jobs()] == [("running", "one"), ("running", "two")]
    assert [queue.stream(jid, "stdin").read_bytes() for jid in (1, 2)] == [b"old", b"old"]
    assert files(queue) == {"stdin/1", "stdin/2"}


def test_a_job_that_came_while_the_stdin_was_read_is_not_changed(queue: Queue) -> None:
    queue.submit("one")

    class Submitting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if not self.tell():
                queue.submit("two")
            return super().read(size)

    edited = queue.update("pending", stdin=Submitting(b"new"), priority=3)
    assert [job.jid for job in edited] == [1]
    assert [(job.priority, job.has_stdin) for job in queue.jobs()] == [(3, True), (0, False)]


def test_an_unreadable_stdin_changes_nothing(every_state: Queue, tmp_path: Path) -> None:
    before = list(every_state.jobs()), files(every_state)
    with pytest.raises(InputError, match="Is a directory"):
        every_state.update("pending", stdin=tmp_path)
    assert (list(every_state.jobs()), files(every_state)) == before
    assert [job.state for job in every_state.jobs()] == STATES
