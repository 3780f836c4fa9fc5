"""Ends the running jobs that have taken longer than their ``timeout``, counted from their launch."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping

from rq_py.feeder.ladder import Ladder
from rq_py.feeder.log import LOG
from rq_py.job import TIMED_OUT
from rq_py.runner.client import Key, RunnerClient
from rq_py.runner.identity import boottime


class Timeouts:
    """Knows of each running job with a timeout when it is over."""

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder
        self._seconds: dict[Key, float] = {}  # of jobs that run, or wait for a slot with the runner
        self._ends: dict[Key, float] = {}  # of those whose launch is known (CLOCK_BOOTTIME)
        self.at = math.inf  #: when to look (CLOCK_BOOTTIME)

    def expect(self, seconds: Mapping[Key, float]) -> None:
        """Look after these jobs, too, which run or will."""
        if seconds:
            self._seconds.update(seconds)
            self.at = 0.0

    def enforce(self, runner: RunnerClient, running: Collection[Key]) -> None:
        """End what has taken too long, where it is time to look. Raises RunnerGone."""
        if boottime() < self.at:
            return
        self._seconds = {key: one for key, one in self._seconds.items() if key in running}
        if self._seconds.keys() - self._ends.keys():
            # Only the runner knows when a job that was claimed ahead was launched. From the first look on it
            # is this clock that counts, which nobody sets.
            for known in runner.running():
                if known.key in self._seconds and known.key not in self._ends:
                    passed = max(time.time() - known.at, 0.0)
                    self._ends[known.key] = boottime() - passed + self._seconds[known.key]
        self._ends = {key: end for key, end in self._ends.items() if key in self._seconds}
        for key in [key for key, end in self._ends.items() if boottime() >= end]:
            if self._ladder.end(runner, key, TIMED_OUT):
                LOG.warning("job %d: it runs for longer than its timeout, ending it", key.jid)
            del self._seconds[key], self._ends[key]
        # What was not launched yet cannot be over before its whole time has passed.
        unseen = [boottime() + one for key, one in self._seconds.items() if key not in self._ends]
        self.at = min([*self._ends.values(), *unseen], default=math.inf)
