"""Threads of one process take turns with a queue: fcntl locks do not tell them apart."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rq_py.errors import LockTimeout


class Mutex:
    """Excludes the threads of this process, and refuses a transaction inside another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: int | None = None

    @contextmanager
    def held(self, timeout: float | None) -> Iterator[None]:
        """Hold it. Raises LockTimeout after ``timeout`` seconds (None: never)."""
        if self._holder == threading.get_ident():
            raise RuntimeError("transactions of one queue do not nest")
        if not self._lock.acquire(timeout=-1 if timeout is None else timeout):
            raise LockTimeout(f"the queue is held by another thread of this process for {timeout:.3g} s")
        self._holder = threading.get_ident()
        try:
            yield
        finally:
            self._holder = None
            self._lock.release()


_mutexes: dict[str, Mutex] = {}
_guard = threading.Lock()


def mutex_of(queue: Path) -> Mutex:
    """The one mutex of the queue directory, whatever path it is opened by."""
    with _guard:
        return _mutexes.setdefault(os.path.realpath(queue), Mutex())
