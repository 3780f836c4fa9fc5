"""Waiting for an event with a deadline: what the tests do instead of sleeping for luck."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], deadline: float = 15.0, interval: float = 0.02) -> T:
    """The first true value of ``predicate()``; AssertionError when ``deadline`` seconds have passed."""
    end = time.monotonic() + deadline
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {deadline} s; the last value was {value!r}")
        time.sleep(interval)
