"""What a running job must not exceed: the queue's output limit, and its own timeout."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from rq_py.feeder import output
from rq_py.feeder.ladder import Ladder
from rq_py.feeder.leftovers import key_of
from rq_py.feeder.output import OutputLimit
from rq_py.feeder.timeouts import Timeouts
from rq_py.job import TIMED_OUT, Job
from rq_py.queue import Queue
from rq_py.runner.client import Key, RunnerClient, Running

_REASONS = frozenset({output.REASON, TIMED_OUT})


class Limits:
    """Ends the jobs of ``queue`` that exceed one; ``grace`` is seconds from TERM to KILL."""

    def __init__(self, queue: Queue, grace: float) -> None:
        self._ladder = Ladder(queue.path, grace)
        self._output = OutputLimit(queue, self._ladder)
        self._timeouts = Timeouts(self._ladder)

    @property
    def at(self) -> float:
        """When to look again (CLOCK_BOOTTIME)."""
        return min(self._ladder.at, self._output.at, self._timeouts.at)

    def adopt(self, running: Mapping[Key, Running], timeouts: Mapping[Key, float]) -> None:
        """Begin anew with the jobs that run, and go on with those that were told to end."""
        self._ladder.adopt(running, _REASONS)
        self._timeouts.expect(timeouts)

    def expect(self, jobs: Iterable[Job]) -> None:
        """Look after jobs that were handed to the runner."""
        self._timeouts.expect(timeouts_of(jobs))

    def enforce(self, runner: RunnerClient, running: Collection[Key]) -> None:
        """End what exceeds a limit, where it is time to look. Raises RunnerGone."""
        self._output.enforce(runner, running)
        self._timeouts.enforce(runner, running)
        self._ladder.pursue(runner, running)


def timeouts_of(jobs: Iterable[Job]) -> dict[Key, float]:
    """The timeouts of those that have one."""
    return {key_of(job): job.timeout for job in jobs if job.timeout is not None}
