"""A queue with a short lock lease on a node of its own, and jobs in every state."""

from __future__ import annotations

from pathlib import Path

import pytest

from rq_py import Job, Queue, State
from rq_py.claims import Outcome, bury, claim, finish
from rq_py.clock import utc_text
from rq_py.job import Reason
from tests.ownnode import this_node

__all__ = ["this_node"]

#: The jids of ``every_state``.
PENDING, HOLDING, RUNNING, FINISHED, DEAD = 1, 2, 3, 4, 5
STATES = [State.PENDING, State.HOLDING, State.RUNNING, State.FINISHED, State.DEAD]


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    """A new queue; a holder counts as stuck after one second."""
    return Queue.create(queue_path, settings={"lock_lease": "1", "shell": "sh"})


@pytest.fixture
def every_state(queue: Queue) -> Queue:
    """One job in each state, jids 1 to 5 in the order of ``STATES``; all have a stdin, and streams."""
    for priority in (0, 0, 9, 8, 7):
        queue.submit("cat", priority=priority, stdin=b"input", tag="t")
    for running in claimed(queue, 3):
        with queue.store.write() as tx:
            if running.jid == FINISHED:
                finish(tx, ended(running))
            elif running.jid == DEAD:
                bury(tx, running.jid, running.attempt, running.token, reason=Reason.NODE_LOST, now=utc_text())
        for name in ("stdout", "stderr"):
            queue.dir.stream(name, running.jid).write_text("output")
    queue.update(HOLDING, state="holding")
    assert [job.state for job in queue.jobs()] == STATES
    return queue


def claimed(queue: Queue, count: int = 1, node: str = "n") -> list[Job]:
    """Claim jobs as a feeder on ``node`` does."""
    with queue.store.write() as tx:
        return claim(tx, feeder=f"{node}.0", node=node, pids=range(1, count + 1), journal="j", now=utc_text())


def ended(job: Job, exit_status: int = 0) -> Outcome:
    """An end of the attempt of ``job``."""
    return Outcome(job.jid, job.attempt, job.token, exit_status, None, utc_text(), 2.0, 1.0, 0.5, 1 << 20)


def files(queue: Queue) -> set[str]:
    """All streams and data, those staged or put aside too, relative to the queue."""
    kinds = ("stdin", "stdout", "stderr", "data")
    return {str(path.relative_to(queue.path)) for kind in kinds for path in (queue.path / kind).iterdir()}


def ready(queue: Queue) -> dict[int, str | None]:
    """Which node may claim each job: '' any, None nobody."""
    with queue.store.read() as tx:
        return dict(tx.execute("SELECT jid, ready FROM jobs").fetchall())
