"""A simulated runner: launches what has a shell, keeps the orders that wait for a slot, gathers its news."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import simpy

from bench.simulation.costs import Costs
from bench.simulation.jobs import Job
from bench.simulation.processor import Processor, Steps
from rq_py.runner.server import GATHER_SECONDS


class Runner:
    """``slots`` jobs at a time on a machine's ``processor``.

    ``count_busy`` is told each start (1) and end (-1), ``latencies`` how long each job had waited since its
    submit. ``hear`` is called when there is news in ``exits`` and ``begun`` for the feeder.
    """

    def __init__(
        self,
        env: simpy.Environment,
        *,
        costs: Costs,
        processor: Processor,
        slots: int,
        count_busy: Callable[[int], None],
        latencies: list[float],
    ) -> None:
        self.exits: list[Job] = []
        self.begun: list[Job] = []
        self.hear: Callable[[], None] = lambda: None
        self._env = env
        self._costs = costs
        self._processor = processor
        self._slots = slots
        self._count_busy = count_busy
        self._latencies = latencies
        self._going = 0
        self._waiting: deque[Job] = deque()
        self._few = 0
        self._untold_exits: list[Job] = []
        self._untold_begun: dict[int, Job] = {}
        self._gathering = 0  # which gathering is on: one that was planned before is void
        self._is_gathering = False
        self._is_launching = False

    def take(self, ready: list[Job], ahead: list[Job]) -> Steps:
        """Launch the ``ready`` ones, which have a shell; those claimed ``ahead`` wait for a slot."""
        for job in ready:
            self._going += 1
            yield from self._launch(job)
        self._waiting.extend(ahead)
        self._launch_waiting()
        self._few = len(self._waiting) // 2

    def adopt(self, job: Job) -> None:
        """One that runs already."""
        self._going += 1
        self._begin(job)

    def withdraw(self) -> list[Job]:
        """Give back what waits."""
        jobs = list(self._waiting)
        self._waiting.clear()
        return jobs

    def _launch_waiting(self) -> None:
        if self._waiting and self._going < self._slots and not self._is_launching:
            self._is_launching = True
            self._env.process(self._launch_all())

    def _launch_all(self) -> Steps:
        """The runner is one process: one launch after the other."""
        while self._waiting and self._going < self._slots:
            job = self._waiting.popleft()
            self._going += 1
            self._untold_begun[job.jid] = job
            yield from self._launch(job)
        self._is_launching = False
        self._tell()

    def _launch(self, job: Job) -> Steps:
        yield from self._processor.work(self._costs.launch)
        self._latencies.append(self._env.now - job.submitted)
        self._begin(job)

    def _begin(self, job: Job) -> None:
        job.runs += 1
        job.started = self._env.now
        self._count_busy(1)
        self._env.process(self._run(job))

    def _run(self, job: Job) -> Steps:
        yield from self._processor.work(self._costs.shell)
        if job.seconds:
            yield from self._processor.work(self._costs.program)
            yield self._env.timeout(job.seconds)
        job.elapsed = self._env.now - job.started
        self._going -= 1
        self._count_busy(-1)
        self._untold_begun.pop(job.jid, None)
        self._untold_exits.append(job)
        self._launch_waiting()
        self._tell()

    def _tell(self) -> None:
        """Tell the feeder at once; while there are orders for the slots, gather for a moment."""
        if not (self._untold_exits or self._untold_begun):
            return
        if len(self._waiting) > self._few:
            if not self._is_gathering:
                self._is_gathering = True
                self._gathering += 1
                number = self._gathering
                timer = self._env.timeout(GATHER_SECONDS)
                timer.callbacks.append(lambda _: self._gathered(number))
        else:
            self._flush()

    def _gathered(self, number: int) -> None:
        if self._is_gathering and number == self._gathering:
            self._flush()

    def _flush(self) -> None:
        self._is_gathering = False
        self.exits += self._untold_exits
        self.begun += self._untold_begun.values()
        self._untold_exits = []
        self._untold_begun = {}
        self.hear()
