"""How a feeder comes to its end (drain, stop or leave): the table of modes, and how a stop ends jobs."""

from __future__ import annotations

import signal
from collections.abc import Collection
from enum import Enum
from pathlib import Path

from rq_py.feeder import leftovers
from rq_py.feeder.log import LOG
from rq_py.runner.client import Exit, Key, RunnerClient
from rq_py.runner.identity import boottime
from rq_py.runner.processes import Process

#: Seconds after KILL until a stop gives jobs up that do not end: they sleep in the kernel.
GIVE_UP_SECONDS = 10.0
#: Seconds between two looks whether what a stopped job has left is gone.
LOOK_SECONDS = 0.1


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
    """The mode of a feeder of ``queue``, and what a stop has done so far.

    ``grace`` is seconds from TERM to KILL.
    """

    def __init__(self, grace: float, queue: Path) -> None:
        self._queue = queue
        self.mode = Mode.FEEDING
        self.stopped: set[Key] = set()  #: jobs that a stop has reached: they are buried, not finished
        self.lingering: dict[Key, Exit] = {}  #: of those, the ones whose shell has ended, but not their tree
        self.at = float("inf")  #: when the stop goes on (CLOCK_BOOTTIME)
        self.give_up_at = float("inf")  #: when a stop ends whatever is left (CLOCK_BOOTTIME)
        self._grace = grace
        self._signals = [signal.SIGTERM, signal.SIGKILL]
        self._signal_at = float("inf")
        self._gone: set[Key] = set()
        self._told: set[Process] = set()  # strays that have had their TERM

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
            self._grace = self._grace if grace is None else grace
            self.at = self._signal_at = boottime()
            self.give_up_at = self.at + self._grace + GIVE_UP_SECONDS
        LOG.info("%s: %d running", mode.value, running)

    def hold(self, exits: dict[Key, Exit]) -> None:
        """Take out of ``exits`` the jobs that were stopped: their shell is gone, their children may not be.

        A shell dies of TERM at once, while the program that it was running may need its grace.
        """
        for key in self.stopped & exits.keys() - self._gone:
            self.lingering[key] = exits.pop(key)
            self.at = boottime()

    def has_reached(self, key: Key) -> bool:
        """Whether a stop has signalled this job: its claim is no open question, whatever it is seen to do."""
        return key in self.stopped or key in self.lingering

    def forget_lingering(self) -> None:
        """A reconciliation has ended and buried what lingered; the runner knows nothing of it any more."""
        self.lingering = {}

    def pursue(self, runner: RunnerClient, running: Collection[Key]) -> dict[Key, Exit]:
        """Go on with a stop: signal all that is left when it is time, and say which jobs are gone now.

        Raises RunnerGone.
        """
        if boottime() < self.at:
            return {}
        if self._signals and boottime() >= self._signal_at:
            signum = self._signals.pop(0)
            for key in running:
                # A running job of which nothing was reached has just ended by itself: its exit counts. One by
                # one, for the runner may be gone before it has answered for all of them.
                if runner.kill(key, signum):
                    self.stopped.add(key)
            for key in self.lingering:
                runner.kill(key, signum)
            if signum == signal.SIGTERM:  # on which a process that is stopped does not act
                for key in self.stopped & {*running}:
                    runner.kill(key, signal.SIGCONT)
            self._signal_at = boottime() + self._grace if self._signals else float("inf")
        # CONT, because it changes nothing for a process that runs: the answer says how many there are.
        gone = {key: ended for key, ended in self.lingering.items() if not runner.kill(key, signal.SIGCONT)}
        for key in leftovers.signal_strays(self._queue, gone, self._told, () if self._signals else gone):
            del gone[key]
        self._gone |= gone.keys()
        self.lingering = {key: ended for key, ended in self.lingering.items() if key not in gone}
        self.at = min(self._signal_at, boottime() + LOOK_SECONDS if self.lingering else float("inf"))
        return gone
