"""Threads of one process take turns with a queue: fcntl locks do not tell them apart."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class Mutex:
    """Excludes the threads of this process, and refuses a transaction inside another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: int | None = None

    def __enter__(self) -> None:
        if self._holder == threading.get_ident():
            raise RuntimeError("transactions of one queue do not nest")
        self._lock.acquire()
        self._holder = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._holder = None
        self._lock.release()


_mutexes: dict[str, Mutex] = {}
_guard = threading.Lock()


def mutex_of(queue: Path) -> Mutex:
    """The one mutex of the queue directory, whatever path it is opened by."""
    with _guard:
        return _mutexes.setdefault(os.path.realpath(queue), Mutex())
