"""Keeps this node's lease alive and buries the jobs of a node whose lease ran out.

Called from the loop and never from a thread: a hung feeder must not look alive.
"""

from __future__ import annotations

from collections.abc import Collection

from rq_py import claims, clock
from rq_py.errors import LockTimeout, StorageError
from rq_py.feeder.log import LOG
from rq_py.feeder.pace import LOCK_WAIT, Round
from rq_py.feeder.ring import LOOK_EVERY, Ring
from rq_py.job import Reason
from rq_py.locking.lease import NodeLease
from rq_py.locking.owner import Owner
from rq_py.queue import Queue
from rq_py.runner.client import RunnerClient
from rq_py.runner.identity import boottime

#: A lease is renewed this often in its time.
RENEWALS = 20
#: Seconds to the next try after a renewal failed.
RETRY_SECONDS = 3.0


class Leases:
    """This feeder's own lease and the ring of others."""

    def __init__(self, queue: Queue, feeder: str) -> None:
        self._queue = queue
        self._seconds = queue.settings.node_lease
        self._file_mode = queue.settings.file_mode
        self._own = NodeLease(queue.dir.feeders / feeder, Owner.of_this_process(), self._file_mode)
        self._ring = Ring(queue.dir.feeders, feeder, self._seconds)
        self._renewal = Round(self._seconds / RENEWALS)
        self._look = Round(min(LOOK_EVERY, self._seconds / RENEWALS))
        self._renewed_at: float | None = None
        self._failing = False

    @property
    def at(self) -> float:
        """When ``keep`` is due (CLOCK_BOOTTIME)."""
        return min(self._renewal.at, self._look.at)

    def begin(self) -> None:
        """Renew for the first time: a feeder without a lease must not claim. Raises StorageError."""
        self._renew()

    def introduce(self, runner: RunnerClient) -> None:
        """Tell a runner about the last renewal. Raises RunnerGone."""
        if self._renewed_at is not None:
            runner.renewed(self._seconds, self._renewed_at)

    def keep(self, runner: RunnerClient | None) -> bool:
        """Renew and look around where it is time, also while there is no ``runner`` to be told.

        Returns whether the renewal found that others have buried this node meanwhile. A feeder without a
        runner goes on holding its node: what a killed runner left is still to be ended here before anybody
        else may run it. Raises RunnerGone; trouble with the storage is logged.
        """
        was_buried = self._renewal.due and self._renew_or_complain(runner)
        if self._look.due:
            self._look.done()
            for name in self._ring.look():
                self._bury(name)
        return was_buried

    def watch(self, with_running: Collection[str]) -> None:
        """Choose anew whom to watch; ``with_running`` are the feeders that have running jobs."""
        self._ring.choose(with_running)

    def end(self) -> None:
        """Give the own lease up: nothing runs under this feeder's name any more. Raises StorageError."""
        self._own.remove()

    def _renew(self) -> bool:
        """Renew; whether the lease was there, or is this feeder's first. Raises StorageError."""
        # From before the renewal: whatever freezes this process in between must not lengthen it.
        at = boottime()
        is_well = self._own.renew() or self._renewed_at is None
        self._renewed_at = at
        self._renewal.done()
        return is_well

    def _renew_or_complain(self, runner: RunnerClient | None) -> bool:
        """Renew and tell ``runner``; whether this node was buried meanwhile. Raises RunnerGone."""
        try:
            was_buried = not self._renew()
        except StorageError as error:
            if not self._failing:
                LOG.warning("%s; trying again", error)
            self._failing = True
            self._renewal.at = boottime() + min(RETRY_SECONDS, self._seconds / RENEWALS)
            return False
        if self._failing:
            LOG.info("the lease of this node is renewed again")
        self._failing = False
        if was_buried:
            LOG.warning("this node was taken for lost, and its jobs were buried")
        if runner is not None:
            self.introduce(runner)
        return was_buried

    def _bury(self, name: str) -> None:
        """Bury all that runs under the name of the lost feeder ``name``, in one transaction."""
        try:
            with self._queue.store.write(timeout=LOCK_WAIT) as tx:
                # It may have come back while this waited for the lock, and have claimed again.
                if not self._ring.is_unchanged(name):
                    return
                now = clock.utc_text()
                lost = claims.running_of(tx, name)
                for job in lost:
                    claims.bury(tx, job.jid, job.attempt, job.token, reason=Reason.NODE_LOST, now=now)
            NodeLease(self._queue.dir.feeders / name, Owner.of_this_process(), self._file_mode).remove()
        except (StorageError, LockTimeout) as error:
            LOG.warning("%s: its lease ran out, but its jobs cannot be buried yet: %s", name, error)
            return
        self._ring.forget(name)
        LOG.warning("%s: its lease ran out: %d jobs buried", name, len(lost))
