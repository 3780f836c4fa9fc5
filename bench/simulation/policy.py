"""How somebody waits for the queue lock: today's back-off, and others to compare it with.

A policy says how long to pause between two tries, and how long before the first one. Seconds throughout.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from rq_py.locking.queuelock import FIRST_PAUSE, LONGEST_PAUSE, PAUSE_FACTOR


@dataclass
class Memory:
    """What a process remembers of the last time that it had the lock."""

    released_at: float = float("-inf")


@dataclass(frozen=True)
class Policy:
    """Today's back-off unless something else is said; see ``POLICIES``.

    ``longest`` may shrink with age: after ``patience`` seconds of waiting it is half, after twice that a
    third, down to ``least``. A ``courtesy`` is a pause before the first try of a process that released the
    lock less than ``recently`` seconds ago.
    """

    name: str = "today"
    first: float = FIRST_PAUSE
    factor: float = PAUSE_FACTOR
    longest: float = LONGEST_PAUSE
    patience: float = float("inf")
    least: float = 0.0
    courtesy: float = 0.0
    recently: float = 0.0

    def next_pause(self, pause: float, waited: float) -> float:
        """The pause after ``pause`` for one who has waited so long, before jitter."""
        ceiling = max(self.longest / (1 + waited / self.patience), self.least)
        return min(pause * self.factor, ceiling)

    def courtesy_of(self, memory: Memory, now: float) -> float:
        """How long to wait before the first try, before jitter."""
        return self.courtesy if now - memory.released_at < self.recently else 0.0


def jittered(pause: float, rng: random.Random) -> float:
    """Between half of ``pause`` and all of it, as queuelock does it."""
    return pause * (0.5 + rng.random() / 2)


TODAY = Policy()
