"""How many jobs to claim ahead of free slots: what the slots get through until some transactions later.

Under a backlog short jobs would otherwise wait for a transaction each. It is a moment's work only:
what is claimed ahead can be run by no other node, and is dead with the node if that loses its power.
"""

from __future__ import annotations

from collections.abc import Sequence

from rq_py.runner.identity import boottime

#: Seconds of work to have ahead: four transactions' time, but within these bounds.
LEAST_SECONDS = 0.4
MOST_SECONDS = 10.0
_TICKS = 4
#: While there is work ahead, a tick comes only when so many times the last ones' time has passed: a feeder
#: that is busy with short jobs holds the lock for less than a twentieth of the time.
_TICKS_APART = 20

#: So many times longer than it should take, what was claimed ahead may wait for a slot to become free.
_PATIENCE = 3

#: Most jobs ahead.
MOST_JOBS = 1000

#: Seconds from which on a tick is believed to keep the slots waiting.
_SLOW_TICK = 0.5

#: So many exits show what a job takes here, and the last ones count most; nothing is ahead before.
_ENOUGH = 8


class Ahead:
    """Learns from each tick how long jobs take here, how many end per second, and how long a tick takes."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._exits = 0  # since the jobs were last found not to be short
        self._job_seconds = 0.0
        self._rate = 0.0  # jobs that end per second
        self._tick_seconds = 0.0
        self._ticked_at: float | None = None

    @property
    def seconds(self) -> float:
        """How much work to have ahead."""
        return min(max(_TICKS * self._tick_seconds, LEAST_SECONDS), MOST_SECONDS)

    @property
    def count(self) -> int:
        """How many jobs to have ahead; 0 where jobs are not short, or not known to be."""
        if self._exits < _ENOUGH:
            return 0
        rate = self._slots / self._job_seconds
        if self._tick_seconds < _SLOW_TICK:
            rate = min(rate, self._rate)
        # Else the slots stand still between slow transactions: what ends is what was claimed, and no measure.
        return min(int(rate * self.seconds), MOST_JOBS)

    def withdraw_at(self, waits_since: float) -> float:
        """When to give back what has waited for a slot ``waits_since``: other nodes may have a free one."""
        return waits_since + _PATIENCE * self.seconds

    def record_at(self, waiting: int) -> float:
        """When to record what has ended, while so many jobs wait: at once where these are few."""
        if self._ticked_at is None or 2 * waiting <= self.count:
            return 0.0
        return self._ticked_at + min(_TICKS_APART * self._tick_seconds, self.seconds / 2)

    def ticked(self, job_seconds: Sequence[float], seconds: float) -> None:
        """A tick, which took ``seconds``, has recorded jobs that ran for ``job_seconds`` each."""
        now = boottime()
        for each in job_seconds:
            self._exits += 1
            self._job_seconds += (each - self._job_seconds) / min(self._exits, _ENOUGH)
        self._job_seconds = max(self._job_seconds, 1e-4)
        if self._ticked_at is not None:
            self._rate += (len(job_seconds) / max(now - self._ticked_at, 1e-3) - self._rate) / 2
        self._tick_seconds += (seconds - self._tick_seconds) / 2
        self._ticked_at = now

    def begin_anew(self) -> None:
        """The jobs are not short any more: claim none ahead until many have ended again."""
        self._exits = 0
