"""Has the program's own classes run on simulated time: the one place that reaches into rq_py."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import simpy

from rq_py.feeder import ahead, pace


@contextmanager
def simulated_time(env: simpy.Environment, rng: random.Random) -> Iterator[None]:
    """Within the block ``Ahead``, ``Idle``, ``Round`` and ``Backoff`` ask ``env`` for the time, and ``rng``.

    They take both from names of their modules, CLOCK_BOOTTIME and the module ``random``.
    """

    def now() -> float:
        return env.now

    with (
        patch.object(ahead, "boottime", now),
        patch.object(pace, "boottime", now),
        patch.object(pace, "random", rng),
    ):
        yield
