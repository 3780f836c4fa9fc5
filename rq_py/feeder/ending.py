"""How a feeder comes to its end (drain, stop or leave): the table of modes, and how a stop ends jobs."""

from __future__ import annotations

import signal
from collections.abc import Collection
from enum import Enum

from rq_py.feeder.log import LOG
from rq_py.runner.client import Key, RunnerClient
from rq_py.runner.identity import boottime

#: Seconds after KILL until a stop gives jobs up that do not end: they sleep in the kernel.
GIVE_UP_SECONDS = 10.0


class Mode(Enum):
    """What a feeder is about."""

    FEEDING = "feeding"
    DRAINING = "draining"  # claims no more, waits for its running jobs
    STOPPING = "stopping"  # ends its running jobs
    LEAVING = "leaving"  # goes at once; its jobs run on for the next feeder


#: mode x word -> mode; what is not here changes nothing.
_NEXT = {
    (Mode.FEEDING, "shutdown"): Mode.DRAINING,
    (Mode.FEEDING, "stop"): Mode.STOPPING,
    (Mode.FEEDING, "replace"): Mode.LEAVING,
    (Mode.DRAINING, "stop"): Mode.STOPPING,
    (Mode.DRAINING, "replace"): Mode.LEAVING,
}


class Ending:
    """The mode of a feeder, and what a stop has done so far; ``grace`` is seconds from TERM to KILL."""

    def __init__(self, grace: float) -> None:
        self.mode = Mode.FEEDING
        self.stopped: set[Key] = set()  #: jobs that a stop has reached: they are buried, not finished
        self.at = float("inf")  #: when the stop goes on (CLOCK_BOOTTIME)
        self.give_up_at = float("inf")  #: when a stop ends whatever is left (CLOCK_BOOTTIME)
        self._grace = grace
        self._signals = [(signal.SIGTERM, grace), (signal.SIGKILL, 0.0)]

    @property
    def has_given_up(self) -> bool:
        """Whether jobs outlived even KILL for GIVE_UP_SECONDS, or could not be reached at all."""
        return boottime() >= self.give_up_at

    def hear(self, word: str, grace: float | None, running: int) -> None:
        """Take a word of ``control``; a stop may bring its own ``grace``. ``running`` is for the log."""
        mode = _NEXT.get((self.mode, word), self.mode)
        if mode is self.mode:
            return
        self.mode = mode
        if mode is Mode.STOPPING:
            seconds = self._grace if grace is None else grace
            self._signals[0] = (signal.SIGTERM, seconds)
            self.at = boottime()
            self.give_up_at = self.at + seconds + GIVE_UP_SECONDS
        LOG.info("%s: %d running", mode.value, running)

    def pursue(self, runner: RunnerClient, running: Collection[Key]) -> None:
        """Send the next signal of a stop to all of ``running`` when it is time. Raises RunnerGone."""
        if self.mode is not Mode.STOPPING or not self._signals or boottime() < self.at:
            return
        signum, seconds = self._signals.pop(0)
        for key in running:
            # A job of which nothing was reached has just ended by itself: its exit counts.
            if runner.kill(key, signum):
                self.stopped.add(key)
        self.at = boottime() + seconds if self._signals else self.give_up_at
