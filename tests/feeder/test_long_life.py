"""Ten thousand jobs over one feeder's life leave no descriptor, zombie, shell or memory behind."""

from __future__ import annotations

import pytest

from rq_py import JobSpec, Queue, State
from tests.feeder.census import memory_of
from tests.feeder.conftest import Feed, runner_pid
from tests.feeder.pair import Pair
from tests.waiting import wait_until

SLOTS = 2
FIRST, REST = 1_000, 9_000
#: Bytes by which a process may have grown after REST jobs more: 233 for each of them.
GROWTH = 2 * 1024 * 1024
#: Seconds in which at least one job ends, on a machine that does other things.
PATIENCE = 60.0


def run_jobs(queue: Queue, count: int) -> None:
    """Have ``count`` jobs run, and wait until all have ended."""
    ended = finished(queue)
    target = ended + count
    queue.submit_many(JobSpec("true", cwd="/") for _ in range(count))
    while ended < target:
        ended = more_than(ended, queue)
    assert ended == target


def more_than(ended: int, queue: Queue) -> int:
    """Wait until more jobs than ``ended`` have finished; how many."""
    wait_until(lambda: finished(queue) > ended, PATIENCE, interval=0.5)
    return finished(queue)


def finished(queue: Queue) -> int:
    counts = queue.status()["jobs"]
    assert isinstance(counts, dict)
    return int(counts[State.FINISHED])


def memory(pair: Pair) -> list[int]:
    """The resident memory of runner and feeder, in bytes."""
    return [memory_of(pid) for pid in (pair.runner, pair.feeder.process.pid)]


@pytest.mark.timeout(900)
def test_ten_thousand_jobs_leave_nothing_behind(
    queue: Queue, feed: Feed, environment: dict[str, str]
) -> None:
    queue.configure({"shell": "sh", "output_limit": "1M"})
    arguments = ("--max-feed", str(SLOTS), "--verbosity", "warn")
    feeder = feed(*arguments, up=False)
    pair = Pair(queue, feeder, SLOTS, environment)
    run_jobs(queue, FIRST)
    pair.is_unhurt()
    before = memory(pair)
    run_jobs(queue, REST)
    pair.is_unhurt()
    growths = [after - early for early, after in zip(before, memory(pair), strict=True)]
    assert max(growths) < GROWTH, f"runner and feeder have grown by {growths} bytes"

    # The next feeder finds the same runner, and has no more than the first one had.
    feeder.kill()
    second = Pair(queue, feed(*arguments, up=False), SLOTS, environment)
    assert second.runner == pair.runner == runner_pid(queue, environment)
    assert second.before[0] == pair.before[0]
    # Each feeder has a log of its own name.
    assert second.before[1].descriptors.total() == pair.before[1].descriptors.total()
    run_jobs(queue, FIRST)
    second.is_unhurt()
    growth = memory_of(pair.runner) - before[0]
    assert growth < GROWTH, f"the runner has grown by {growth} bytes"
    assert {job.attempt for job in queue.jobs()} == {1}
