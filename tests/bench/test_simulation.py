"""The simulation: nothing is lost or run twice in it, and where the answer is known it gives that."""

from __future__ import annotations

import random
from dataclasses import replace
from unittest.mock import patch

import pytest
import simpy

from bench.simulation.costs import Costs
from bench.simulation.jobs import Job
from bench.simulation.lock import NotHad, QueueLock
from bench.simulation.policy import TODAY, Memory, Policy, jittered
from bench.simulation.processor import Processor, Steps
from bench.simulation.world import Scenario, World
from rq_py.feeder import ahead, pace
from rq_py.locking import queuelock
from rq_py.locking.queuelock import FIRST_PAUSE
from rq_py.runner.identity import boottime

COSTS = Costs(  # noqa: S604
    fixed=0.005, empty=0.0005, cpu_share=0.4, claim=1e-4, finish=1e-4, begin=5e-5, submit=1e-4, attempt=1e-5,
    poll=1e-5, renewal=1e-3, tick=1e-3, job=1e-4, launch=5e-4, shell=1e-3, program=1e-3,
    is_shared=False,
)  # fmt: skip

SCENARIOS = {
    "one": Scenario(1, 4, 1.0, warm_up=5.0, seconds=20.0),
    "far-ahead": Scenario(3, 2, 0.0, shared_cores=2, warm_up=3.0, seconds=3.0),
    "with-submitters": Scenario(8, 2, 0.05, loopers=3, warm_up=3.0, seconds=5.0),
    "overload": Scenario(60, 2, 0.3, warm_up=3.0, seconds=6.0, is_full=True),
    "half-load": Scenario(5, 3, 2.0, exponential=True, submits_per_second=3.0, seconds=30.0),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_job_runs_at_most_once_and_nothing_is_used_more_than_there_is(name: str) -> None:
    world = World(SCENARIOS[name], COSTS)
    jobs: list[Job] = []
    make = world.jobs.new

    def new(now: float) -> Job:
        jobs.append(make(now))
        return jobs[-1]

    with patch.object(world.jobs, "new", new):
        figures = world.run()
    assert len(jobs) == world.jobs.submitted
    assert {job.runs for job in jobs} <= {0, 1}
    finished, started = sum(world.jobs.finished), sum(job.runs for job in jobs)
    # What pends was not started; what neither pends nor was started is in the hands of a feeder.
    assert 0 < finished <= started <= len(jobs) - world.jobs.pending
    assert figures.jobs_per_second > 0
    assert 0 < figures.lock_used <= 1
    assert 0 < figures.slots_used <= 1
    assert 0 <= figures.least_to_mean <= 1
    assert figures.wait_median <= figures.wait_p99


def test_the_same_seed_gives_the_same_figures_and_another_one_others() -> None:
    scenario = SCENARIOS["with-submitters"]
    first = World(scenario, COSTS).run()
    assert World(scenario, COSTS).run() == first
    assert World(replace(scenario, seed=2), COSTS).run() != first


def test_one_feeder_alone_takes_as_long_as_its_parts() -> None:
    """One slot, long jobs: each cycle is the job and what is done one after the other between two of them."""
    costs = replace(COSTS, renewal=0.0)
    figures = World(Scenario(1, 1, 20.0, warm_up=100.0, seconds=8_000.0), costs).run()
    between = (
        costs.shell + costs.program + costs.tick + costs.attempt + costs.fixed + costs.finish + costs.claim
        + costs.launch
    )  # fmt: skip
    assert figures.jobs_per_second == pytest.approx(1 / (20.0 + between), rel=2e-3)
    assert figures.slots_used == pytest.approx(
        (20.0 + costs.shell + costs.program) / (20.0 + between), rel=1e-3
    )
    assert figures.wait_p99 == pytest.approx(costs.attempt)


def test_short_jobs_come_many_to_a_transaction() -> None:
    figures = World(Scenario(1, 2, 0.0, warm_up=3.0, seconds=4.0), COSTS).run()
    assert figures.jobs_per_second > 8 * figures.transactions_per_second


def test_a_feeder_with_work_ahead_leaves_the_lock_to_others() -> None:
    """What ends is recorded when half of the work ahead is done, 0.2 s, and the slots do not stand still."""
    figures = World(Scenario(1, 2, 0.02, warm_up=5.0, seconds=10.0), COSTS).run()
    assert figures.transactions_per_second < 5.5
    assert figures.slots_used > 0.95


def test_what_waits_for_a_slot_too_long_is_given_back() -> None:
    """Short jobs first, so that some are claimed ahead, and then long ones that keep every slot."""
    world = World(Scenario(1, 2, 0.02, warm_up=3.0, seconds=10.0), COSTS)
    make, release = world.jobs.new, world.jobs.release
    given_back: list[tuple[float, Job]] = []

    def new(now: float) -> Job:
        job = make(now)
        job.seconds = 0.02 if now < 3.0 else 1e6
        return job

    def released(jobs: list[Job]) -> None:
        given_back.extend((world.env.now, job) for job in jobs)
        release(jobs)

    with patch.object(world.jobs, "new", new), patch.object(world.jobs, "release", released):
        world.run()
    assert given_back
    assert {job.runs for _, job in given_back} == {0}
    # Three times what is to be ahead, 0.4 s, after the last short one has ended.
    assert all(4.0 < at < 6.0 for at, _ in given_back)


def test_idle_nodes_beside_a_busy_queue_keep_their_pauses() -> None:
    """Each poll of theirs finds that others have committed, and makes a transaction, but no more often."""
    scenario = Scenario(30, 4, 1.0, exponential=True, submits_per_second=5.0, seconds=60.0)
    figures = World(scenario, COSTS).run()
    # Each job has one for its submit, two of its feeder's own, and one in which that finds no more; and each
    # node one a second, as far as the jitter has it.
    assert figures.transactions_per_second < 5 * 4 + 30 * 1.4


def test_a_queue_that_is_too_small_has_its_lock_in_use_all_the_time() -> None:
    figures = World(Scenario(100, 1, 0.3, warm_up=5.0, seconds=10.0), replace(COSTS, fixed=0.05)).run()
    assert figures.lock_used > 0.95
    assert figures.slots_used < 0.5


def test_a_job_that_comes_to_idle_nodes_starts_within_their_longest_poll() -> None:
    scenario = Scenario(
        4, 2, 1.0, submits_per_second=0.2, warm_up=50.0, seconds=500.0, exponential=True
    )  # fmt: skip
    figures = World(scenario, COSTS).run()
    assert 0.05 < figures.latency_median < 0.7
    assert figures.latency_p99 < 1.3


# --- the lock ----------------------------------------------------------------------------------------------


def polled(policy: Policy, users: int, seed: int, *, is_shared: bool) -> tuple[list[float], int]:
    """Waits and tries of a lock whose every try is an event of its own: what QueueLock must come to."""
    env, rng = simpy.Environment(), random.Random(seed)
    waits: list[float] = []
    state = {"held": False, "tries": 0}

    def use() -> Steps:
        while True:
            yield env.timeout(rng.random() * 0.02)
            begun, pause = env.now, FIRST_PAUSE
            while True:
                state["tries"] += 1
                if not state["held"]:
                    break
                pause = policy.next_pause(pause, env.now - begun, is_shared=is_shared)
                yield env.timeout(jittered(pause, rng))
            state["held"] = True
            waits.append(env.now - begun)
            yield env.timeout(0.005)
            state["held"] = False

    for _ in range(users):
        env.process(use())
    env.run(150.0)
    return waits, int(state["tries"])


def caught_up(policy: Policy, users: int, seed: int, *, is_shared: bool) -> tuple[list[float], int]:
    """The same with QueueLock."""
    env, rng = simpy.Environment(), random.Random(seed)
    lock = QueueLock(env, rng, is_shared=is_shared, policy=policy)

    def use() -> Steps:
        memory = Memory()
        while True:
            yield env.timeout(rng.random() * 0.02)
            yield from lock.acquire(memory)
            yield env.timeout(0.005)
            lock.release(memory)

    for _ in range(users):
        env.process(use())
    env.run(150.0)
    return lock.waits, lock.tries


@pytest.mark.parametrize("is_shared", [False, True], ids=["local", "mount"])
@pytest.mark.parametrize("policy", [TODAY, Policy("one bound", 0.05)], ids=lambda policy: policy.name)
def test_catching_up_with_tries_comes_to_the_same_as_making_each(policy: Policy, is_shared: bool) -> None:
    """As one of chance: the two draw their pauses in different orders."""
    first, first_tries = polled(policy, 6, 1, is_shared=is_shared)
    second, second_tries = caught_up(policy, 6, 2, is_shared=is_shared)
    assert len(second) == pytest.approx(len(first), rel=0.02)
    assert second_tries == pytest.approx(first_tries, rel=0.03)
    assert sum(second) / len(second) == pytest.approx(sum(first) / len(first), rel=0.05)
    for share in (0.9, 0.99):
        index = int(share * len(first))
        assert sorted(second)[int(share * len(second))] == pytest.approx(sorted(first)[index], rel=0.1)


@pytest.mark.parametrize(
    ("is_shared", "shortest"),
    [(False, queuelock.SHORTEST_PAUSE), (True, queuelock.SHORTEST_PAUSE_SHARED)],
    ids=["local", "mount"],
)
def test_who_waits_long_tries_as_often_as_the_program_does(is_shared: bool, shortest: float) -> None:
    env = simpy.Environment()
    lock = QueueLock(env, random.Random(1), is_shared=is_shared)

    def hold() -> Steps:
        memory = Memory()
        yield from lock.acquire(memory)
        yield env.timeout(100.0)
        lock.release(memory)

    def want() -> Steps:
        yield env.timeout(0.1)
        yield from lock.acquire(Memory())

    env.process(hold())
    env.process(want())
    env.run()
    # Of pauses between half of it and all of it; in the first seconds they are longer.
    assert lock.tries == pytest.approx(100.0 / (0.75 * shortest), rel=0.05)


def test_the_costs_say_whether_the_lock_is_shared() -> None:
    tries = [
        World(SCENARIOS["overload"], replace(COSTS, fixed=0.03, is_shared=is_shared)).run().tries_per_second
        for is_shared in (False, True)
    ]
    assert tries[1] < tries[0] / 2


def test_a_lock_is_given_up_in_time_and_goes_to_the_next() -> None:
    env = simpy.Environment()
    lock = QueueLock(env, random.Random(1), is_shared=False)
    seen: list[tuple[str, float]] = []

    def hold() -> Steps:
        memory = Memory()
        yield from lock.acquire(memory)
        yield env.timeout(3.0)
        lock.release(memory)

    def want(name: str, timeout: float) -> Steps:
        try:
            yield from lock.acquire(Memory(), timeout)
        except NotHad:
            name = f"not {name}"
        seen.append((name, env.now))

    env.process(hold())
    env.process(want("short", 2.0))
    env.process(want("long", 5.0))
    env.run()
    assert seen[0] == ("not short", 2.0)
    assert seen[1][0] == "long"
    assert 3.0 <= seen[1][1] <= 3.06
    assert lock.timeouts == 1


def test_a_processor_has_so_many_cores() -> None:
    env = simpy.Environment()
    processor = Processor(env, 2)
    ends: list[float] = []

    def work() -> Steps:
        yield from processor.work(1.0)
        ends.append(env.now)

    for _ in range(5):
        env.process(work())
    env.run()
    assert ends == [1.0, 1.0, 2.0, 2.0, 3.0]


# --- around it ---------------------------------------------------------------------------------------------


def test_the_programs_own_clock_is_back_afterwards() -> None:
    World(SCENARIOS["one"], COSTS).run()
    assert vars(ahead)["boottime"] is vars(pace)["boottime"] is boottime
    assert vars(pace)["random"] is random
