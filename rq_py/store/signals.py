"""Signals that would end or stop a process half-way wait until the work in hand is done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_WAITING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)


@contextmanager
def signals_waiting() -> Iterator[None]:
    """Let SIGINT, SIGTERM, SIGHUP and SIGTSTP to this thread wait until the block is left."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
