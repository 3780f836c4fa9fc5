"""When the clock lets a job run, or expire, though nobody has changed anything: a timer of the loop."""

from __future__ import annotations

import math
import time

from rq_py import clock
from rq_py.feeder.log import LOG
from rq_py.runner.identity import boottime
from rq_py.store.transaction import Transaction
from rq_py.timing import Passed, pass_due


class Due:
    """Knows when the next job is due, as of the last tick."""

    def __init__(self) -> None:
        self.at = math.inf  #: (CLOCK_BOOTTIME)

    @property
    def has_come(self) -> bool:
        """Whether there is a job to look at."""
        return boottime() >= self.at

    def look(self, tx: Transaction) -> Passed:
        """Open and bury what is due; to be told to ``done`` when that is committed."""
        return pass_due(tx, clock.utc_text())

    def done(self, passed: Passed) -> None:
        """Set the timer."""
        if passed.expired:
            LOG.info("%d jobs have expired", passed.expired)
        self.at = math.inf
        if passed.next is not None:
            self.at = boottime() + max(clock.seconds_of(passed.next) - time.time(), 0.0)
