"""The queue lock on simulated time: polled by everybody who waits, as rq_py/locking/queuelock.py does it.

A try while somebody holds the lock changes nothing, so it is not an event of its own: the tries of all who
wait are caught up with when the lock is released. The outcome is the same, and 2,000 nodes can be simulated.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace

import simpy

from bench.simulation.policy import TODAY, Memory, Policy, jittered
from bench.simulation.processor import Steps
from rq_py.locking.queuelock import FIRST_PAUSE


class NotHad(Exception):
    """The lock was not had in time."""


@dataclass
class _Waiter:
    begun: float
    deadline: float
    pause: float
    event: simpy.Event
    is_over: bool = False


class QueueLock:
    """One lock, on a mount where it ``is_shared``.

    ``try_seconds`` is what a try costs whoever makes it; ``rng`` makes the jitter.
    """

    def __init__(
        self,
        env: simpy.Environment,
        rng: random.Random,
        *,
        is_shared: bool,
        try_seconds: float = 0.0,
        policy: Policy = TODAY,
    ) -> None:
        self.waits: list[float] = []  #: seconds that each holder had waited
        self.tries = 0
        self.timeouts = 0
        self.held_seconds = 0.0
        self._env = env
        self._rng = rng
        self._try_seconds = try_seconds
        self._policy = policy
        self._is_shared = is_shared
        self._queue: list[tuple[float, int, _Waiter]] = []  # by the time of the next try
        self._number = 0
        self._held_since: float | None = None
        self._grants = 0  # how many were planned: one that was planned before the last is void

    def forget_figures(self) -> None:
        """Begin to measure now."""
        self.waits, self.tries, self.timeouts, self.held_seconds = [], 0, 0, 0.0
        if self._held_since is not None:
            self._held_since = self._env.now

    def acquire(self, memory: Memory, timeout: float | None = None) -> Steps:
        """Wait for the lock; ``memory`` is the process's own. Raises NotHad after ``timeout`` seconds."""
        env = self._env
        courtesy = self._policy.courtesy_of(memory, env.now)
        begun = env.now
        if courtesy:
            yield env.timeout(jittered(courtesy, self._rng))
        if self._try_seconds:
            yield env.timeout(self._try_seconds)
        self.tries += 1
        if self._held_since is None:
            self._take(begun)
            return
        deadline = float("inf") if timeout is None else begun + timeout
        waiter = _Waiter(begun, deadline, FIRST_PAUSE, env.event())
        self._plan(waiter, env.now)
        if timeout is not None:
            env.timeout(max(deadline - env.now, 0.0)).callbacks.append(lambda _: self._give_up(waiter))
        is_had = yield waiter.event
        if not is_had:
            raise NotHad

    def release(self, memory: Memory) -> None:
        """Let it go: the first one who tries from now on has it."""
        assert self._held_since is not None  # noqa: S101  (the model itself would be wrong)
        now = self._env.now
        self.held_seconds += now - self._held_since
        self._held_since = None
        memory.released_at = now
        self._catch_up(now)
        self._plan_grant()

    def held_until_now(self) -> float:
        """Seconds for which it was held since the figures began."""
        return self.held_seconds + (0.0 if self._held_since is None else self._env.now - self._held_since)

    def _take(self, begun: float) -> None:
        now = self._env.now
        self._held_since = now
        self.waits.append(now - begun)

    def _plan(self, waiter: _Waiter, tried_at: float) -> None:
        """Queue the next try of one whose try has failed."""
        heappush(self._queue, (self._next_try(waiter, tried_at), self._number, waiter))
        self._number += 1

    def _next_try(self, waiter: _Waiter, tried_at: float) -> float:
        waited = tried_at - waiter.begun
        waiter.pause = self._policy.next_pause(waiter.pause, waited, is_shared=self._is_shared)
        pause = min(jittered(waiter.pause, self._rng), max(waiter.deadline - tried_at, 0.0))
        return tried_at + pause + self._try_seconds

    def _catch_up(self, now: float) -> None:
        """Make all tries that have failed until now, because the lock was held."""
        queue = self._queue
        while queue and queue[0][0] < now:
            at, number, waiter = queue[0]
            if waiter.is_over:
                heappop(queue)
                continue
            self.tries += 1
            heapreplace(queue, (self._next_try(waiter, at), number, waiter))

    def _plan_grant(self) -> None:
        """Let the one whose try is next have the lock then, unless somebody comes before."""
        while self._queue and self._queue[0][2].is_over:
            heappop(self._queue)
        if not self._queue:
            return
        self._grants += 1
        number = self._grants
        delay = max(self._queue[0][0] - self._env.now, 0.0)
        self._env.timeout(delay).callbacks.append(lambda _: self._grant(number))

    def _grant(self, number: int) -> None:
        if number != self._grants or self._held_since is not None:
            return
        waiter = heappop(self._queue)[2]
        if waiter.is_over:
            self._plan_grant()
            return
        waiter.is_over = True
        self.tries += 1
        self._take(waiter.begun)
        waiter.event.succeed(True)

    def _give_up(self, waiter: _Waiter) -> None:
        """The last try of one whose time is over."""
        if waiter.is_over:
            return
        waiter.is_over = True
        self.tries += 1
        is_had = self._held_since is None
        if is_had:
            self._take(waiter.begun)
        else:
            self.timeouts += 1
        waiter.event.succeed(is_had)
