"""Retention: what ended long ago goes, with its files, a few at a time; everything else stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue
from rq_py.clock import utc_text
from rq_py.feeder.retention import BATCH, LOOKED_AT, Retention
from rq_py.job import TERMINAL, State
from rq_py.removal import OLDEST, Place
from rq_py.runner.identity import boottime
from tests.conftest import Rqpy
from tests.feeder.conftest import Feed
from tests.waiting import wait_until

FEEDER = "n.0"
DAY = 86400.0


def files(queue: Queue) -> set[str]:
    """The streams and data of all jobs."""
    kinds = ("stdin", "stdout", "stderr", "data")
    return {f"{kind}/{path.name}" for kind in kinds for path in (queue.path / kind).iterdir()}


def jids(queue: Queue) -> list[int]:
    return [job.jid for job in queue.jobs()]


def removals(queue: Queue) -> int:
    with queue.store.read() as tx:
        (count,) = tx.execute("SELECT count(*) FROM removals").fetchone()
    return int(count)


def test_a_feeder_deletes_what_is_past_with_its_files(
    queue: Queue, feed: Feed, rqpy: Rqpy, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("data")
    queue.submit("cat; echo done", stdin=b"in", data=tmp_path / "data")
    queue.submit("exit 3")
    queue.submit("kill -9 $$")
    queue.submit("waits", stage=True, stdin=b"in")
    queue.submit("for another node", runner="elsewhere")
    feed("--until-empty").ends()
    assert jids(queue) == [1, 2, 3, 4, 5], "without a retention nothing goes"
    # The lease, which tells the time, is renewed every twentieth of node_lease.
    done = rqpy("configure", "retention=1s", "node_lease=10", queue=queue.path, check=True)
    assert done.stdout.endswith("retention: 1s\n")
    feeder = feed()
    wait_until(lambda: jids(queue) == [4, 5])
    wait_until(lambda: files(queue) == {"stdin/4"} and not removals(queue))
    feeder.says("retention: 3 jobs were deleted")
    # It goes on with its work, and with the retention.
    queue.submit(f"touch {tmp_path}/ran")
    wait_until((tmp_path / "ran").exists)
    wait_until(lambda: jids(queue) == [4, 5])


@pytest.fixture
def aged(queue: Queue) -> Queue:
    """A queue with a retention of 30 days, and the lease of a feeder."""
    queue.configure({"retention": "30d"})
    (queue.dir.feeders / FEEDER).touch()
    return queue


def job(queue: Queue, state: str, *, submitted: float, finished: float | None = None, count: int = 1) -> None:
    """Jobs that were submitted, and ended, so many days ago."""
    first = queue.submit_many(JobSpec("true", cwd="/") for _ in range(count)).first_jid
    now = time.time()
    ended = None if finished is None else utc_text(now - finished * DAY)
    with queue.store.write() as tx:
        tx.execute(
            """UPDATE jobs SET state = ?, attempt = 1, submitted = ?, finished = ?
               WHERE jid >= ?""",
            (state, utc_text(now - submitted * DAY), ended, first),
        )


def rounds(queue: Queue) -> int:
    """Let a feeder's retention go round once; returns in how many steps."""
    deleting = Retention(queue, FEEDER)
    steps = 0
    while True:
        deleting.at = 0.0
        deleting.delete_some()
        steps += 1
        assert deleting.at > boottime(), "there is a pause"
        if deleting._place == Place():
            return steps


def test_only_jobs_that_have_ended_are_deleted(aged: Queue) -> None:
    for state in State:
        job(aged, state, submitted=40, finished=31)
    assert rounds(aged) == len(TERMINAL)
    assert [found.state for found in aged.jobs()] == [State.PENDING, State.HOLDING, State.RUNNING]


def test_submit_and_end_must_both_be_past(aged: Queue) -> None:
    job(aged, "finished", submitted=31, finished=29)  # 1: it ran for long
    job(aged, "finished", submitted=29, finished=31)  # 2: one of two clocks is wrong
    job(aged, "dead", submitted=31, finished=None)  # 3: nobody knows when it ended
    job(aged, "dead", submitted=31, finished=31)
    rounds(aged)
    assert jids(aged) == [1, 2, 3]
    aged.configure({"retention": "10d"})
    rounds(aged)
    assert jids(aged) == [3]


def test_a_clock_that_is_ahead_of_the_file_servers_deletes_nothing(aged: Queue) -> None:
    job(aged, "finished", submitted=31, finished=31)
    then = time.time() - 2 * DAY
    os.utime(aged.dir.feeders / FEEDER, (then, then))
    rounds(aged)
    assert jids(aged) == [1]
    (aged.dir.feeders / FEEDER).unlink()
    rounds(aged)
    assert jids(aged) == [1], "and without a lease it is not known"


def test_the_setting_is_asked_each_time(aged: Queue) -> None:
    job(aged, "finished", submitted=31, finished=31)
    Queue(aged.path).configure({"retention": "none"})
    rounds(aged)
    assert jids(aged) == [1]


def test_many_go_in_short_transactions(aged: Queue) -> None:
    job(aged, "finished", submitted=31, finished=29, count=LOOKED_AT + 1)  # in the way, and to be kept
    job(aged, "finished", submitted=31, finished=31, count=2 * BATCH + 1)
    for jid in range(LOOKED_AT + 2, LOOKED_AT + 2 * BATCH + 3):
        aged.dir.stream("stdout", jid).touch()
    # One transaction that only looks, three that delete, one for the dead.
    assert rounds(aged) == 5
    assert len(jids(aged)) == LOOKED_AT + 1
    assert not files(aged)
    assert not removals(aged)


def test_what_others_noted_for_removal_is_left_to_them(aged: Queue) -> None:
    job(aged, "finished", submitted=31, finished=31)
    with aged.store.write() as tx:
        tx.execute("INSERT INTO removals VALUES (4711)")
    aged.dir.stream("stdout", 4711).touch()
    rounds(aged)
    assert (removals(aged), files(aged)) == (1, {"stdout/4711"})
    aged.tidy()
    assert (removals(aged), files(aged)) == (0, set())


def test_it_reads_one_range_of_an_index(aged: Queue) -> None:
    values = {"state": "finished", "submitted": "", "jid": 0, "cutoff": utc_text(), "limit": 1}
    with aged.store.read() as tx:
        plan = [row[3] for row in tx.execute(f"EXPLAIN QUERY PLAN {OLDEST}", values)]
    assert len(plan) == 1, "no sorting"
    assert "USING INDEX jobs_state (state=? AND submitted>? AND submitted<?)" in plan[0]
