"""When the loop does the next thing: growing pauses, and the times of what comes round again. Seconds."""

from __future__ import annotations

import random

from rq_py.runner.identity import boottime

#: Seconds that a transaction waits for the queue lock: for so long a signal or a word is not heard. The lease
#: of a stuck holder is counted on from one try to the next (store/transaction.py).
LOCK_WAIT = 5.0


class Idle:
    """The idle poll: from ``least`` to ``longest`` seconds apart, growing while nothing happens.

    Jittered by a fifth, so that the feeders of a cluster do not come to look at the same moment.
    """

    FACTOR = 1.5

    def __init__(self, least: float, longest: float) -> None:
        self._least, self._longest = least, longest
        self._pause = least
        self.at = 0.0  #: when the next poll is due (CLOCK_BOOTTIME)

    def busy(self) -> None:
        """Something happened: poll often again."""
        self._pause = self._least
        self._plan()

    def quiet(self) -> None:
        """A poll found nothing: take more time to the next one."""
        self._pause = min(self._pause * self.FACTOR, self._longest)
        self._plan()

    def _plan(self) -> None:
        self.at = boottime() + _jittered(self._pause)


class Backoff:
    """The pause after something went wrong, doubled each time until it works again."""

    def __init__(self, first: float = 1.0, longest: float = 30.0) -> None:
        self._first, self._longest = first, longest
        self._pause = 0.0
        self.until = 0.0  #: the end of the pause (CLOCK_BOOTTIME)

    @property
    def failing(self) -> bool:
        """Whether the last try went wrong."""
        return self._pause > 0

    @property
    def waiting(self) -> bool:
        """Whether it is too early for another try."""
        return boottime() < self.until

    def failed(self) -> None:
        """Wait before the next try."""
        self._pause = min(self._pause * 2, self._longest) if self._pause else self._first
        self.until = boottime() + _jittered(self._pause)

    def worked(self) -> None:
        """Forget the failures."""
        self._pause = self.until = 0.0


class Round:
    """Something that comes round every ``every`` seconds; due at once at first."""

    def __init__(self, every: float) -> None:
        self._every = every
        self.at = 0.0  #: when it is due next (CLOCK_BOOTTIME)

    @property
    def due(self) -> bool:
        """Whether it is time."""
        return boottime() >= self.at

    def done(self) -> None:
        """It was done now."""
        self.at = boottime() + self._every


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311  (no secret)
