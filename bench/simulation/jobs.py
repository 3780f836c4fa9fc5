"""The jobs of the simulated queue: what pends, and what became of all."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass


@dataclass(eq=False)
class Job:
    """One job; times are simulated seconds."""

    jid: int
    seconds: float
    submitted: float
    started: float = -1.0
    elapsed: float = 0.0
    runs: int = 0


class Jobs:
    """What the database says. ``mark`` changes with each commit that changed something.

    Jobs take ``seconds``, or so long on average where they are ``exponential``. An ``endless`` backlog always
    has another.
    """

    def __init__(self, seconds: float, rng: random.Random, *, exponential: bool, endless: bool) -> None:
        self.mark = 0
        self.submitted = 0
        self.finished: list[int] = []  #: for each feeder
        self.latencies: list[float] = []  #: from the submit to the start, of those that were started
        self._seconds = seconds
        self._rng = rng
        self._exponential = exponential
        self._endless = endless
        self._pending: deque[Job] = deque()

    @property
    def pending(self) -> int:
        """How many pend, without those of an endless backlog that nobody has seen."""
        return len(self._pending)

    def new(self, now: float) -> Job:
        """A job that somebody submits now."""
        self.submitted += 1
        length = self._rng.expovariate(1 / self._seconds) if self._exponential else self._seconds
        return Job(self.submitted, length, now)

    def half_done(self, now: float) -> Job:
        """One that is found running at any moment, with what is left of it."""
        job = self.new(now)
        if not self._exponential:
            job.seconds *= self._rng.random()
        return job

    def submit(self, count: int, now: float) -> None:
        """Have more pending jobs."""
        self._pending.extend(self.new(now) for _ in range(count))

    def claim(self, count: int, now: float) -> list[Job]:
        """Take up to ``count``, oldest first."""
        if self._endless and count > len(self._pending):
            self.submit(count - len(self._pending), now)
        return [self._pending.popleft() for _ in range(min(count, len(self._pending)))]

    def release(self, jobs: list[Job]) -> None:
        """They pend again, as the oldest that they are."""
        self._pending.extendleft(reversed(jobs))
