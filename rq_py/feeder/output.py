"""The queue's ``output_limit``: finds the running jobs whose stdout and stderr together have become longer.

Nothing of it is in the way of a job's output: about once a second the files' sizes are looked at, by the
node that writes them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection

from rq_py.feeder.filesize import size_of
from rq_py.feeder.ladder import Ladder
from rq_py.feeder.log import LOG
from rq_py.queue import Queue
from rq_py.runner.client import Key, RunnerClient, Running
from rq_py.runner.identity import boottime

#: The ``reason`` of a job that was ended for its output.
REASON = "output_limit"
#: Seconds between two looks.
LOOK_SECONDS = 1.0


class OutputLimit:
    """Looks after the jobs of ``queue`` where it has a limit, and has ``ladder`` end those above it."""

    def __init__(self, queue: Queue, ladder: Ladder) -> None:
        self._directory = queue.dir
        self._limit = math.inf if queue.settings.output_bytes is None else queue.settings.output_bytes
        self._ladder = ladder
        self._first_size: dict[Key, int] = {}  # of what an earlier attempt may have written
        self.at = math.inf  #: when to look (CLOCK_BOOTTIME)

    def enforce(self, runner: RunnerClient, running: Collection[Key]) -> None:
        """End what has written too much, where it is time to look. Raises RunnerGone."""
        if not running or self._limit == math.inf:
            self.at = math.inf
        elif self.at == math.inf:
            self.at = boottime() + LOOK_SECONDS
        elif boottime() >= self.at:
            for key in self._above(runner, [key for key in running if key not in self._ladder]):
                if self._ladder.end(runner, key, REASON):
                    LOG.warning("job %d: its output is above output_limit, ending it", key.jid)
            self.at = boottime() + LOOK_SECONDS

    def _above(self, runner: RunnerClient, keys: Collection[Key]) -> list[Key]:
        """The jobs among ``keys`` that have written too much."""
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


def _has_opened_its_streams(job: Running) -> bool:
    """Whether the shell of a job, as its stderr tells, has one of its streams open, and so has emptied both.

    It opens stderr last (script.py). Where it has sent that elsewhere since, nothing is known.
    """
    try:
        file = os.readlink(f"/proc/{job.pid}/fd/2")  # asks no file server
    except OSError:
        return False
    return file.endswith((f"/stdout/{job.key.jid}", f"/stderr/{job.key.jid}"))
