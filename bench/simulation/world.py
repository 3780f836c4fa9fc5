"""One simulated run: nodes, a queue, submitters; and what came out of it."""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass

import simpy

from bench.simulation.costs import Costs
from bench.simulation.feeder import Feeder
from bench.simulation.jobs import Jobs
from bench.simulation.lock import QueueLock
from bench.simulation.policy import TODAY, Memory, Policy
from bench.simulation.processor import Processor, Steps
from bench.simulation.runner import Runner
from bench.simulation.simulatedtime import simulated_time
from bench.statistic import percentile


@dataclass(frozen=True)
class Scenario:
    """What to simulate; times are seconds.

    Each node has ``slots``, and as many cores unless all nodes share those of one machine
    (``shared_cores``, 0 for not). Without ``submits_per_second`` there is an endless backlog. ``loopers`` are
    processes that submit as fast as they can. Nodes begin with all slots at work when ``is_full``, else idle
    and within a quarter of ``warm_up``, whose time does not count.
    """

    nodes: int
    slots: int
    job_seconds: float
    exponential: bool = False
    submits_per_second: float = 0.0
    jobs_per_submit: int = 1
    loopers: int = 0
    shared_cores: int = 0
    policy: Policy = TODAY
    is_full: bool = False
    warm_up: float = 20.0
    seconds: float = 60.0
    seed: int = 1


@dataclass
class Figures:
    """What came out. Rates are per second; shares are 0 to 1; the rest is seconds.

    ``slots_used`` is the share of the slots' time in which a job ran, ``lock_used`` the share of the time in
    which somebody held the lock. ``least_to_mean`` is about the finished jobs of the feeders. ``latency`` is
    from the submit to the start, of jobs that did not wait in a backlog.
    """

    jobs_per_second: float
    slots_used: float
    lock_used: float
    transactions_per_second: float
    tries_per_second: float
    timeouts_per_second: float
    wait_median: float
    wait_p99: float
    least_to_mean: float
    latency_median: float
    latency_p99: float


class World:
    """A scenario at work; ``run`` is called once."""

    def __init__(self, scenario: Scenario, costs: Costs) -> None:
        self.scenario = scenario
        self.env = simpy.Environment()
        self._rng = random.Random(scenario.seed)  # noqa: S311  (no secret)
        self._costs = costs
        self.lock = QueueLock(
            self.env,
            self._rng,
            is_shared=costs.is_shared,
            try_seconds=costs.attempt,
            policy=scenario.policy,
        )
        is_endless = not scenario.submits_per_second
        self.jobs = Jobs(
            scenario.job_seconds, self._rng, exponential=scenario.exponential, endless=is_endless
        )
        self._busy = _Integral(self.env)

    def run(self) -> Figures:
        """Simulate it."""
        scenario, env = self.scenario, self.env
        with simulated_time(env, self._rng):
            self._populate()
            env.run(scenario.warm_up)
            self.lock.forget_figures()
            busy = self._busy.until_now()
            finished = list(self.jobs.finished)
            self.jobs.latencies.clear()
            env.run(scenario.warm_up + scenario.seconds)
        counts = [late - early for late, early in zip(self.jobs.finished, finished, strict=True)]
        lock, seconds = self.lock, scenario.seconds
        waits, latencies = lock.waits or [0.0], self.jobs.latencies or [0.0]
        mean = statistics.mean(counts)
        return Figures(
            jobs_per_second=sum(counts) / seconds,
            slots_used=(self._busy.until_now() - busy) / (scenario.nodes * scenario.slots * seconds),
            lock_used=lock.held_until_now() / seconds,
            transactions_per_second=len(lock.waits) / seconds,
            tries_per_second=lock.tries / seconds,
            timeouts_per_second=lock.timeouts / seconds,
            wait_median=percentile(waits, 0.5),
            wait_p99=percentile(waits, 0.99),
            least_to_mean=min(counts) / mean if mean else 0.0,
            latency_median=percentile(latencies, 0.5),
            latency_p99=percentile(latencies, 0.99),
        )

    def _populate(self) -> None:
        scenario, env = self.scenario, self.env
        shared = Processor(env, scenario.shared_cores) if scenario.shared_cores else None
        for number in range(scenario.nodes):
            self.jobs.finished.append(0)
            processor = shared or Processor(env, scenario.slots)
            runner = Runner(
                env,
                costs=self._costs,
                processor=processor,
                slots=scenario.slots,
                count_busy=self._busy.add,
                latencies=self.jobs.latencies,
            )
            feeder = Feeder(
                env,
                number,
                costs=self._costs,
                lock=self.lock,
                jobs=self.jobs,
                runner=runner,
                processor=processor,
                slots=scenario.slots,
            )
            begin = 0.0 if scenario.is_full else self._rng.random() * scenario.warm_up / 4
            env.process(feeder.run(begin, is_full=scenario.is_full, rng=self._rng))
        for _ in range(scenario.loopers):
            env.process(self._loop(shared or Processor(env, 1)))
        if scenario.submits_per_second:
            env.process(self._arrivals())

    def _arrivals(self) -> Steps:
        """Submits from other hosts, each a process of its own."""
        while True:
            yield self.env.timeout(self._rng.expovariate(self.scenario.submits_per_second))
            self.env.process(self._submit(Memory(), Processor(self.env, 1)))

    def _loop(self, processor: Processor) -> Steps:
        memory = Memory()
        while True:
            yield from self._submit(memory, processor)

    def _submit(self, memory: Memory, processor: Processor) -> Steps:
        costs = self._costs
        yield from processor.work(costs.tick)  # what any process does around a transaction
        yield from self.lock.acquire(memory)
        count = self.scenario.jobs_per_submit
        yield from processor.work(costs.fixed * costs.cpu_share + count * costs.submit)
        yield self.env.timeout(costs.fixed * (1 - costs.cpu_share))
        self.jobs.submit(count, self.env.now)
        self.jobs.mark += 1
        self.lock.release(memory)


@dataclass
class _Integral:
    """A number over time."""

    env: simpy.Environment
    _value: int = 0
    _sum: float = 0.0
    _since: float = 0.0

    def add(self, by: int) -> None:
        self._sum = self.until_now()
        self._since = self.env.now
        self._value += by

    def until_now(self) -> float:
        return self._sum + self._value * (self.env.now - self._since)
