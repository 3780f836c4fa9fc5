"""What the tests of dependencies do with a queue: let jobs run and end, and settle what came of it."""

from __future__ import annotations

from rq_py import Job, Queue
from rq_py.claims import Outcome, claim, finish
from rq_py.clock import utc_text
from rq_py.dependencies import settle
from tests.store.tally import assert_kept


def claimed(queue: Queue, count: int = 1) -> list[Job]:
    """Claim as a feeder does that has settled nothing."""
    with queue.store.write() as tx:
        return claim(tx, feeder="a.0", node="a", pids=range(1, count + 1), journal="j", now=utc_text())


def end(queue: Queue, job: Job, exit_status: int | None = 0, reason: str | None = None) -> None:
    """Record an end of the attempt of ``job``."""
    signal = 9 if exit_status is None else None
    outcome = Outcome(
        job.jid, job.attempt, job.token, exit_status, signal, utc_text(), 2.0, 1.0, 0.5, 1 << 20, reason
    )
    with queue.store.write() as tx:
        finish(tx, outcome)


def settled(queue: Queue, most: int = 5000) -> int:
    """What ticks do until nothing is left; returns how many jobs they have buried."""
    buried = 0
    while True:
        with queue.store.write() as tx:
            done = settle(tx, utc_text(), most)
            assert_kept(tx)
        buried += done.buried
        if not done.is_rest:
            return buried


def run(queue: Queue, jid: int, exit_status: int | None = 0, reason: str | None = None) -> None:
    """Have one job claimed, ended and settled."""
    queue.update(jid, priority=99)
    (job,) = claimed(queue)
    assert job.jid == jid
    end(queue, job, exit_status, reason)
    settled(queue)


def is_open(queue: Queue, jid: int) -> bool:
    """Whether a feeder would claim the job."""
    with queue.store.read() as tx:
        return bool(tx.execute("SELECT ready IS NOT NULL FROM jobs WHERE jid = ?", (jid,)).fetchone()[0])
