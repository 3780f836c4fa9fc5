"""Resubmit: same jid, next attempt, same stdin; nothing of the last attempt counts any more."""

from __future__ import annotations

import pytest

from rq_py import Queue, State
from rq_py.claims import Verdict, finish
from rq_py.errors import UsageError
from tests.conftest import Rqpy
from tests.editing.conftest import (
    DEAD,
    FINISHED,
    HOLDING,
    PENDING,
    RUNNING,
    claimed,
    ended,
    files,
    ready,
)


def test_everything_but_a_running_job(every_state: Queue, this_node: str) -> None:
    queue = every_state
    (running,) = queue.jobs("running")
    old = {job.jid: job for job in queue.jobs()}
    before = files(queue)
    edited = queue.resubmit(1, 2, 3, 4, 5)
    assert [job.jid for job in edited] == [PENDING, HOLDING, FINISHED, DEAD]
    assert [tuple(row) for row in edited.refused] == [(RUNNING, "running")]
    assert list(queue.jobs("running")) == [running]
    for job in edited:
        was = old[job.jid]
        assert job == was._replace(
            state=State.PENDING, submitted=job.submitted, submitter=this_node, started=None, finished=None,
            elapsed=None, runner=None, pid=None, exit_status=None, signal=None, reason=None, user_cpu=None,
            system_cpu=None, max_rss=None, token="", feeder=None,
            attempts=job.attempts,
        )  # fmt: skip
        assert (job.attempts is not None) == (job.jid in (FINISHED, DEAD)), "how it ended is kept"
        assert job.submitted > was.submitted
        assert queue.stream(job.jid, "stdin").read_bytes() == b"input"
    assert files(queue) == before
    assert ready(queue) == {1: "", 2: "", 3: None, 4: "", 5: ""}


def test_the_next_attempt_is_counted_and_the_last_one_is_nobodys(every_state: Queue) -> None:
    (dead,) = every_state.jobs(DEAD)
    every_state.resubmit(DEAD, priority=99)
    (job,) = claimed(every_state)
    assert (job.jid, job.attempt) == (DEAD, 2)
    with every_state.store.write() as tx:
        assert finish(tx, ended(dead)) is Verdict.LOST
        assert finish(tx, ended(job, 3)) is Verdict.DONE
    assert every_state.job(DEAD).exit_status == 3


def test_options_override(every_state: Queue) -> None:
    edited = every_state.resubmit(
        "finished", state="holding", priority=3, tag=None, runner="b", stdin=b"new", command="sort"
    )
    (job,) = edited
    assert (job.state, job.priority, job.tag, job.required_runner, job.command) == (
        State.HOLDING, 3, None, "b", "sort",
    )  # fmt: skip
    assert every_state.stream(FINISHED, "stdin").read_bytes() == b"new"
    assert ready(every_state)[FINISHED] is None
    every_state.update(FINISHED, state="pending")
    assert ready(every_state)[FINISHED] == "b"


def test_running_jobs_as_a_whole_are_refused(every_state: Queue) -> None:
    with pytest.raises(UsageError, match="running jobs cannot be resubmitted"):
        every_state.resubmit("running")


def test_it_runs_again_and_its_output_is_only_that_of_the_last_time(rqpy: Rqpy, queue: Queue) -> None:
    rqpy("submit", "cat; exit 3", "--stdin=-", queue=queue.path, stdin="first and long\n", check=True)
    rqpy("feed", "--until-empty", queue=queue.path, check=True)
    assert rqpy("stdout", "1", queue=queue.path).stdout == "first and long\n"
    rqpy("resubmit", "1", queue=queue.path, check=True)
    rqpy("feed", "--until-empty", queue=queue.path, check=True)
    assert rqpy("stdout", "1", queue=queue.path).stdout == "first and long\n"
    rqpy("resubmit", "f", "--stdin=-", "-p4", queue=queue.path, stdin="2\n", check=True)
    rqpy("feed", "--until-empty", queue=queue.path, check=True)
    assert rqpy("stdout", "1", queue=queue.path).stdout == "2\n"
    job = queue.job(1)
    assert (job.attempt, job.exit_status, job.priority) == (3, 3, 4)
