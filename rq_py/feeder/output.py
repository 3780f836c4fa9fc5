"""The queue's ``output_limit``: ends the running jobs whose stdout and stderr together have become longer.

Nothing of it is in the way of a job's output: about once a second the files' sizes are looked at, by the
node that writes them. A job above the limit is ended as a stop ends one: TERM for its whole tree, KILL when
the grace is over. Its exit waits with the runner until nothing of the tree is left, and has the reason
REASON. When this feeder is killed meanwhile, the runner tells the next one of the reason, and that one goes
on, with a grace of its own.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Collection, Mapping

from rq_py.feeder import leftovers
from rq_py.feeder.filesize import size_of
from rq_py.feeder.log import LOG
from rq_py.queue import Queue
from rq_py.runner.client import Key, RunnerClient, Running
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
        self._limit = math.inf if queue.settings.output_bytes is None else queue.settings.output_bytes
        self._grace = grace
        self._first_size: dict[Key, int] = {}  # of what an earlier attempt may have written
        self._kill_at: dict[Key, float] = {}  # of the jobs that were told to end
        self._told: set[Process] = set()  # strays that have had their TERM
        self.at = math.inf  #: when to look (CLOCK_BOOTTIME)

    def adopt(self, running: Mapping[Key, Running]) -> None:
        """Go on with the jobs that an earlier feeder has told to end, whatever the limit is now."""
        for key, known in running.items():
            if known.reason == REASON:
                self._kill_at.setdefault(key, boottime() + self._grace)

    def enforce(self, runner: RunnerClient, running: Collection[Key]) -> None:
        """End what has written too much, where it is time to look. Raises RunnerGone."""
        if not (self._kill_at or (running and self._limit < math.inf)):
            self.at = math.inf
        elif self.at == math.inf:
            self.at = boottime() + LOOK_SECONDS
        elif boottime() >= self.at:
            for key in self._above(runner, [key for key in running if key not in self._kill_at]):
                if runner.kill(key, signal.SIGTERM, REASON):
                    LOG.warning("job %d: its output is above output_limit, ending it", key.jid)
                    self._kill_at[key] = boottime() + self._grace
                    runner.kill(key, signal.SIGCONT)  # a stopped process does not act on TERM
            for key in running:
                if key in self._kill_at and self._is_over(key):
                    runner.kill(key, signal.SIGKILL, REASON)
            self._end_strays([key for key in self._kill_at if key not in running])
            self.at = boottime() + LOOK_SECONDS

    def _above(self, runner: RunnerClient, keys: Collection[Key]) -> list[Key]:
        """The jobs among ``keys`` that have written too much."""
        if self._limit == math.inf:
            return []
        sizes = {key: self._size(key) for key in keys}
        self._first_size = {key: self._first_size.get(key, size) for key, size in sizes.items()}
        above = [key for key, size in sizes.items() if size > self._limit]
        # The files of an earlier attempt are there until this one's shell has opened them anew.
        doubtful = {key for key in above if key.attempt > 1 and sizes[key] == self._first_size[key]}
        if doubtful:
            doubtful -= {known.key for known in runner.running() if _has_opened_its_streams(known)}
        return [key for key in above if key not in doubtful]

    def _size(self, key: Key) -> int:
        return sum(size_of(self._directory.stream(name, key.jid)) for name in ("stdout", "stderr"))

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


def _has_opened_its_streams(job: Running) -> bool:
    """Whether the shell of a job, as its stderr tells, has one of its streams open, and so has emptied both.

    It opens stderr last (script.py). Where it has sent that elsewhere since, nothing is known.
    """
    try:
        file = os.readlink(f"/proc/{job.pid}/fd/2")  # asks no file server
    except OSError:
        return False
    return file.endswith((f"/stdout/{job.key.jid}", f"/stderr/{job.key.jid}"))
