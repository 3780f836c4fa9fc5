"""Ends running jobs that are not to go on: TERM for the whole tree, KILL when the grace is over.

A job's exit waits with the runner until nothing of the tree is left, and has the reason for which it was
ended. When this feeder is killed meanwhile, the runner tells the next one of the reason, and that one goes
on, with a grace of its own.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Collection, Mapping
from pathlib import Path

from rq_py.feeder import leftovers
from rq_py.runner.client import Key, RunnerClient, Running
from rq_py.runner.identity import boottime
from rq_py.runner.processes import Process

#: Seconds between two looks at what is being ended.
LOOK_SECONDS = 1.0


class Ladder:
    """Ends jobs of the queue in ``folder``; ``grace`` is seconds from TERM to KILL."""

    def __init__(self, folder: Path, grace: float) -> None:
        self._folder = folder
        self._grace = grace
        self._reasons: dict[Key, str] = {}  # of the jobs that were told to end
        self._kill_at: dict[Key, float] = {}  # of the same
        self._told: set[Process] = set()  # strays that have had their TERM
        self.at = math.inf  #: when to go on (CLOCK_BOOTTIME)

    def __contains__(self, key: Key) -> bool:
        """Whether this job was told to end."""
        return key in self._kill_at

    def adopt(self, running: Mapping[Key, Running], reasons: Collection[str]) -> None:
        """Go on with the jobs that an earlier feeder has told to end, for one of these reasons."""
        for key, known in running.items():
            if known.reason in reasons and key not in self:
                self._begin(key, str(known.reason))

    def end(self, runner: RunnerClient, key: Key, reason: str) -> bool:
        """Tell a job to end; False where it was told before, or nothing of it is there. Raises RunnerGone."""
        if key in self or not runner.kill(key, signal.SIGTERM, reason):
            return False
        self._begin(key, reason)
        runner.kill(key, signal.SIGCONT)  # a stopped process does not act on TERM
        return True

    def _begin(self, key: Key, reason: str) -> None:
        self._reasons[key] = reason
        self._kill_at[key] = boottime() + self._grace
        self.at = min(self.at, boottime() + LOOK_SECONDS)

    def pursue(self, runner: RunnerClient, running: Collection[Key]) -> None:
        """Go on where it is time to. Raises RunnerGone."""
        if boottime() < self.at:
            return
        for key in running:
            if key in self and self._is_over(key):
                runner.kill(key, signal.SIGKILL, self._reasons[key])
        self._end_strays([key for key in self._kill_at if key not in running])
        self.at = boottime() + LOOK_SECONDS if self._kill_at else math.inf

    def _is_over(self, key: Key) -> bool:
        """Whether the grace of a job is over."""
        return boottime() >= self._kill_at[key]

    def _end_strays(self, keys: Collection[Key]) -> None:
        """Signal what the trees of these jobs, which are gone, have left; forget those that left nothing."""
        left = leftovers.signal_strays(
            self._folder, keys, self._told, {key for key in keys if self._is_over(key)}
        )
        for key in keys:
            if key not in left:
                del self._kill_at[key], self._reasons[key]
        if not self._kill_at:
            self._told.clear()
