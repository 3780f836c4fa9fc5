"""A simulated feeder: the loop of rq_py/feeder/loop.py, with its own Ahead, Idle, Round and Backoff."""

from __future__ import annotations

import math
import random
from collections.abc import Generator
from typing import Any

import simpy

from bench.simulation.costs import Costs
from bench.simulation.jobs import Job, Jobs
from bench.simulation.lock import NotHad, QueueLock
from bench.simulation.policy import Memory
from bench.simulation.processor import Processor, Steps
from bench.simulation.runner import Runner
from rq_py.feeder.ahead import Ahead
from rq_py.feeder.leases import RENEWALS
from rq_py.feeder.loop import FULL_TICK
from rq_py.feeder.options import FeedOptions
from rq_py.feeder.pace import LOCK_WAIT, Backoff, Idle, Round
from rq_py.settings import Settings

#: Seconds between two renewals of a node's lease, as the queue's settings have it unless changed.
RENEWAL = Settings(uuid="").node_lease / RENEWALS
OPTIONS = FeedOptions("q")


class Feeder:
    """The feeder ``number`` of a queue, with its ``runner``; made within ``simulated_time``."""

    def __init__(
        self,
        env: simpy.Environment,
        number: int,
        *,
        costs: Costs,
        lock: QueueLock,
        jobs: Jobs,
        runner: Runner,
        processor: Processor,
        slots: int,
    ) -> None:
        self._env = env
        self._number = number
        self._costs = costs
        self._lock = lock
        self._jobs = jobs
        self._runner = runner
        self._processor = processor
        self._count = slots
        self._memory = Memory()
        # As Feeder.__init__ and Session have them.
        self._ahead = Ahead(slots)
        self._idle = Idle(OPTIONS.min_sleep, OPTIONS.max_sleep)
        self._full_tick = Round(FULL_TICK)
        self._storage = Backoff(longest=2.0)
        self._renewal = Round(RENEWAL)
        self._woken = True
        self._mark = -1
        # As Slots has them.
        self._running: dict[int, Job] = {}
        self._waiting: dict[int, Job] = {}
        self._exits: list[Job] = []
        self._begun: dict[int, Job] = {}
        self._refused: list[Job] = []
        self._moved_at = 0.0
        self._alarm: simpy.Event | None = None
        runner.hear = self._hear

    def run(self, begin: float, *, is_full: bool, rng: random.Random) -> Steps:
        """Feed from ``begin`` on; ``is_full`` has all slots at work then, as if it had long been feeding."""
        yield self._env.timeout(begin)
        if is_full:
            for _ in range(self._count):
                job = self._jobs.half_done(self._env.now)
                self._running[job.jid] = job
                self._runner.adopt(job)
            self._woken = False
            self._full_tick.at = self._env.now + FULL_TICK * rng.random()
            self._renewal.at = self._env.now + RENEWAL * rng.random()
        while True:
            if self._renewal.due:
                yield self._env.timeout(self._costs.renewal)
                self._renewal.done()
            self._collect()
            self._withdraw_where_due()
            if not self._storage.waiting and (yield from self._tick_is_due()):
                try:
                    yield from self._tick()
                except NotHad:
                    self._storage.failed()
            self._collect()
            yield from self._wait()

    # --- one tick ----------------------------------------------------------------------------------------

    def _tick(self) -> Steps:
        """Finish and claim in one transaction, then launch. Raises NotHad."""
        exits, refused, begun = list(self._exits), list(self._refused), list(self._begun)
        free = self._free
        ahead = max(self._ahead.count - len(self._waiting), 0)
        yield from self._processor.work(self._costs.tick)
        started = self._env.now
        mark = self._jobs.mark
        yield from self._lock.acquire(self._memory, LOCK_WAIT)
        jobs = self._jobs.claim(free + ahead, self._env.now)
        yield from self._transact(len(exits), len(refused) + len(begun), len(jobs))
        self._jobs.release(refused)
        self._jobs.finished[self._number] += len(exits)
        self._lock.release(self._memory)
        self._exits = self._exits[len(exits) :]
        self._refused = self._refused[len(refused) :]
        for jid in begun:
            self._begun.pop(jid, None)
        self._running.update((job.jid, job) for job in jobs)
        self._waiting.update((job.jid, job) for job in jobs[free:])
        yield from self._runner.take(jobs[:free], jobs[free:])
        if jobs:
            self._moved_at = self._env.now
        yield from self._processor.work(self._costs.job * len(exits))
        self._ahead.ticked([job.elapsed for job in exits], self._env.now - started)
        self._plan_next(mark, offered=free + ahead, claimed=len(jobs), has_recorded=bool(exits))

    def _transact(self, exits: int, begun: int, claimed: int) -> Steps:
        """What is done under the lock, in two parts: the processor's work, then the wait for the disk."""
        costs = self._costs
        is_change = bool(exits or begun or claimed)
        fixed = costs.fixed if is_change else costs.empty
        each = exits * costs.finish + begun * costs.begin + claimed * costs.claim
        yield from self._processor.work(fixed * costs.cpu_share + each)
        yield self._env.timeout(fixed * (1 - costs.cpu_share))
        self._jobs.mark += is_change

    def _plan_next(self, mark: int, *, offered: int, claimed: int, has_recorded: bool) -> None:
        self._storage.worked()
        self._mark = mark
        self._woken = 0 < offered == claimed and self._free > 0
        if claimed or has_recorded:
            self._idle.busy()
        if self._full_tick.due:
            self._full_tick.done()

    @property
    def _free(self) -> int:
        return 0 if self._waiting else max(self._count - len(self._running), 0)

    # --- when --------------------------------------------------------------------------------------------

    @property
    def _has_work(self) -> bool:
        return bool(self._exits or self._refused or self._begun)

    def _tick_is_due(self) -> Generator[simpy.Event, Any, bool]:
        if self._full_tick.due or self._storage.failing:
            return True
        if self._has_work:
            return self._env.now >= self._record_at
        if not self._free:
            return False
        if not self._woken and self._env.now >= self._idle.at:
            yield self._env.timeout(self._costs.poll)
            self._woken = self._jobs.mark != self._mark
            self._idle.quiet()
        return self._woken

    @property
    def _record_at(self) -> float:
        return 0.0 if self._refused else self._ahead.record_at(len(self._waiting))

    @property
    def _withdraw_at(self) -> float:
        return self._ahead.withdraw_at(self._moved_at if self._waiting else math.inf)

    def _withdraw_where_due(self) -> None:
        if self._env.now >= self._withdraw_at:
            self._ahead.begin_anew()
            jobs = self._runner.withdraw()
            for job in jobs:
                self._leave(job)
            self._refused += jobs

    def _collect(self) -> None:
        exits, self._runner.exits = self._runner.exits, []
        for job in exits:
            self._leave(job)
        self._exits += exits
        begun, self._runner.begun = self._runner.begun, []
        for job in begun:
            if self._waiting.pop(job.jid, None) is not None:
                self._begun[job.jid] = job
                self._moved_at = self._env.now

    def _leave(self, job: Job) -> None:
        self._running.pop(job.jid, None)
        self._waiting.pop(job.jid, None)
        self._begun.pop(job.jid, None)
        self._moved_at = self._env.now

    def _wait(self) -> Steps:
        """Wait for the next thing that is due, or for news."""
        times = [self._renewal.at]
        if self._storage.failing:
            times.append(self._storage.until)
        else:
            times += [self._full_tick.at, self._withdraw_at]
            if self._has_work:
                times.append(self._record_at)
            elif self._free:
                times.append(self._env.now if self._woken else self._idle.at)
        delay = min(times) - self._env.now
        if delay <= 0 or (self._runner.exits or self._runner.begun):
            return
        self._alarm = alarm = self._env.event()
        timer = self._env.timeout(delay)
        timer.callbacks.append(lambda _: _ring(alarm))
        yield alarm

    def _hear(self) -> None:
        if self._alarm is not None:
            _ring(self._alarm)


def _ring(alarm: simpy.Event) -> None:
    if not alarm.triggered:
        alarm.succeed()
