"""Retention: jobs that ended longer ago than the queue's setting says are deleted, a few at a time.

Every feeder does it, once an hour and at its start. It looks at ended jobs in the order of their submit, of
which there is an index, and keeps its place from one transaction to the next. That takes a small part of its
time only: batches are short, and the pause after one is a multiple of what it took.

A wrong clock must not delete what is still wanted. So the time is this node's or that of the file server,
whichever is earlier, and a job goes only when both its submit and its end, noted by other clocks, are past.
"""

from __future__ import annotations

import time

from rq_py import settings as settings_file
from rq_py.clock import utc_text
from rq_py.errors import RqError
from rq_py.feeder.log import LOG
from rq_py.feeder.pace import LOCK_WAIT
from rq_py.queue import Queue
from rq_py.removal import Place, delete_past, remove_files_of
from rq_py.runner.identity import boottime
from rq_py.store.files import file_errors

#: Jobs that are deleted in one transaction, and rows that it looks at.
BATCH, LOOKED_AT = 100, 2000
#: It takes one in so many parts of the feeder's time at most.
SHARE = 20
#: Seconds between two rounds at most; a short retention is looked after more often.
ROUND = 3600.0


class Retention:
    """Deletes what is past the retention, by the feeder of this name."""

    def __init__(self, queue: Queue, feeder: str) -> None:
        self._queue = queue
        self._lease = queue.dir.feeders / feeder  # written again and again, so its time is the file server's
        self._place = Place()  # how far this round has come
        self._deleted = 0
        self.at = 0.0  #: when to go on (CLOCK_BOOTTIME)

    def delete_some(self) -> None:
        """Delete a batch where it is time to; failures are logged, and tried again with the next round."""
        begun = boottime()
        if begun < self.at:
            return
        pause = ROUND
        try:
            # Asked each time: somebody who takes the setting back must not have to wait.
            seconds = settings_file.read(self._queue.dir.settings).retention_seconds
            if seconds is not None:
                pause = min(seconds / SHARE, ROUND)
                if self._step(utc_text(max(self._now() - seconds, 0.0))):
                    pause = SHARE * (boottime() - begun)
        except RqError as error:
            LOG.warning("retention: %s", error)
        if self._deleted and self._place == Place():
            LOG.info("retention: %d jobs were deleted", self._deleted)
            self._deleted = 0
        self.at = boottime() + max(pause, 1.0)

    def _now(self) -> float:
        """Seconds since the epoch by this node's clock, or by the file server's if that is earlier.

        Raises StorageError.
        """
        with file_errors(self._lease):
            return min(time.time(), self._lease.stat().st_mtime)

    def _step(self, cutoff: str) -> bool:
        """Delete one batch of jobs that were over before ``cutoff``; whether there may be more of them."""
        store = self._queue.store
        with store.write(timeout=LOCK_WAIT) as tx:
            jids, place = delete_past(tx, cutoff, self._place, most=BATCH, looked_at=LOOKED_AT)
        self._place = place or Place()
        self._deleted += len(jids)
        if jids:
            remove_files_of(store, jids, timeout=LOCK_WAIT)
        return place is not None
