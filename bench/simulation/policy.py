"""How somebody waits for the queue lock: as the program does it today, and otherwise, to compare with it.

A policy says how long to pause between two tries, and how long before the first one. Seconds throughout.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from rq_py.locking import queuelock
from rq_py.locking.queuelock import PAUSE_FACTOR


@dataclass
class Memory:
    """What a process remembers of the last time that it had the lock."""

    released_at: float = float("-inf")


@dataclass(frozen=True)
class Policy:
    """The program's own pauses, unless a bound is given.

    ``longest`` bounds the pause, on a local disk and on a mount alike. It may shrink with the time that one
    has waited: after ``ageing`` seconds it is half, after twice that a third, down to ``shortest``. A
    ``courtesy`` is a pause before the first try of a process that released the lock less than ``recently``
    seconds ago.
    """

    name: str = "today"
    longest: float | None = None
    ageing: float = float("inf")
    shortest: float = 0.0
    courtesy: float = 0.0
    recently: float = 0.0

    def next_pause(self, pause: float, waited: float, *, is_shared: bool) -> float:
        """The pause after ``pause`` for one who has waited so long, before jitter."""
        if self.longest is None:
            return queuelock.next_pause(pause, waited, is_shared=is_shared)
        return min(pause * PAUSE_FACTOR, max(self.longest / (1 + waited / self.ageing), self.shortest))

    def courtesy_of(self, memory: Memory, now: float) -> float:
        """How long to wait before the first try, before jitter."""
        return self.courtesy if now - memory.released_at < self.recently else 0.0


def jittered(pause: float, rng: random.Random) -> float:
    """Between half of ``pause`` and all of it, as queuelock does it."""
    return pause * (0.5 + rng.random() / 2)


TODAY = Policy()
