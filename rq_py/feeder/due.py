"""What a tick does about the conditions of jobs, before it claims; when that is to be done again: a timer."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

from rq_py import clock
from rq_py.dependencies import Settled, settle
from rq_py.feeder.log import LOG
from rq_py.runner.identity import boottime
from rq_py.store.transaction import Transaction
from rq_py.timing import Passed, pass_due


class Looked(NamedTuple):
    """What came of a look."""

    passed: Passed
    settled: Settled


class Due:
    """Knows when the next job is due, as of the last tick."""

    def __init__(self) -> None:
        self.at = math.inf  #: (CLOCK_BOOTTIME)

    @property
    def has_come(self) -> bool:
        """Whether there is a job to look at."""
        return boottime() >= self.at

    def look(self, tx: Transaction) -> Looked:
        """Open and bury what is due, and what others let; to be told to ``done`` when that is committed."""
        now = clock.utc_text()
        passed = pass_due(tx, now)  # first: what is after a job that has expired need not wait for a tick
        return Looked(passed, settle(tx, now))

    def done(self, looked: Looked) -> None:
        """Set the timer."""
        passed, settled = looked
        if settled.buried:
            LOG.info("%d jobs will never run: those that they are after ended otherwise", settled.buried)
        if passed.expired:
            LOG.info("%d jobs have expired", passed.expired)
        self.at = math.inf
        if passed.next is not None:
            self.at = boottime() + max(clock.seconds_of(passed.next) - time.time(), 0.0)
        if settled.is_rest:
            self.at = 0.0
