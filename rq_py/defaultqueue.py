"""The user's own queue, for whoever names none: where it is, and that it is made on first use."""

from __future__ import annotations

import os
from pathlib import Path

from rq_py.queue import Queue
from rq_py.queuedir import QueueDir


def default_queue_path() -> Path:
    """Where the user's own queue is: below ``$XDG_DATA_HOME``, by default ``~/.local/share``."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # A relative XDG_DATA_HOME is to be ignored (XDG Base Directory Specification).
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "share"
    return root / "rqpy" / "queue"


def open_default(*, timeout: float | None = None) -> Queue:
    """Open the user's own queue, made on first use. Raises StorageError."""
    path = default_queue_path()
    if not QueueDir(path).settings.exists():
        from rq_py.creation import create_default

        create_default(path)
    return Queue(path, timeout=timeout)
