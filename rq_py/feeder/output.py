"""The queue's ``output_limit``: ends the running jobs whose stdout and stderr together have become longer.

Nothing of it is in the way of a job's output: about once a second the files' sizes are looked at, by the
node that writes them. A job above the limit is ended as a stop ends one: TERM for its whole tree, KILL when
the grace is over. Its exit waits with the runner until nothing of the tree is left, and has the reason
REASON, so when this feeder is killed meanwhile, the next one hears of it, or finds the job above the limit.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Collection

from rq_py.feeder import leftovers
from rq_py.feeder.filesize import size_of
from rq_py.feeder.log import LOG
from rq_py.queue import Queue
from rq_py.runner.client import Key, RunnerClient
from rq_py.runner.identity import boottime
from rq_py.runner.processes import Process

#: The ``reason`` of a job that was ended for its output.
REASON = "output_limit"
#: Seconds between two looks.
LOOK_SECONDS = 1.0


class OutputLimit:
    """Looks after the jobs of ``queue`` where it has a limit; ``grace`` is seconds from TERM to KILL."""

    def __init__(self, queue: Queue, grace: float) -> None:
        self._directory = queue.dir
        self._limit = queue.settings.output_bytes
        self._grace = grace
        self._first_size: dict[Key, int] = {}  # of what an earlier attempt may have written
        self._kill_at: dict[Key, float] = {}  # of the jobs that were told to end
        self._told: set[Process] = set()  # strays that have had their TERM
        self.at = math.inf  #: when to look (CLOCK_BOOTTIME)

    def enforce(self, runner: RunnerClient, running: Collection[Key]) -> None:
        """End what has written too much, where it is time to look. Raises RunnerGone."""
        if self._limit is None or not (running or self._kill_at):
            self.at = math.inf
        elif self.at == math.inf:
            self.at = boottime() + LOOK_SECONDS
        elif boottime() >= self.at:
            for key in running:
                if key in self._kill_at:
                    # CONT, because a stopped process does not act on TERM; for others it changes nothing.
                    runner.kill(key, signal.SIGKILL if self._is_over(key) else signal.SIGCONT, REASON)
                elif self._is_above(key, self._limit) and runner.kill(key, signal.SIGTERM, REASON):
                    LOG.warning("job %d: its output is above output_limit, ending it", key.jid)
                    self._kill_at[key] = boottime() + self._grace
            self._end_strays([key for key in self._kill_at if key not in running])
            self._first_size = {key: size for key, size in self._first_size.items() if key in running}
            self.at = boottime() + LOOK_SECONDS

    def _is_above(self, key: Key, limit: int) -> bool:
        size = sum(size_of(self._directory.stream(name, key.jid)) for name in ("stdout", "stderr"))
        # The files of an earlier attempt are there until this one's shell has opened them anew.
        may_be_old = key.attempt > 1 and size == self._first_size.setdefault(key, size)
        return size > limit and not may_be_old

    def _is_over(self, key: Key) -> bool:
        """Whether the grace of a job is over."""
        return boottime() >= self._kill_at[key]

    def _end_strays(self, keys: Collection[Key]) -> None:
        """Signal what the trees of these jobs, which are gone, have left; forget those that left nothing."""
        left = leftovers.signal_strays(
            self._directory.path, keys, self._told, {key for key in keys if self._is_over(key)}
        )
        for key in keys:
            if key not in left:
                del self._kill_at[key]
        if not self._kill_at:
            self._told.clear()
