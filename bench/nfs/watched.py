"""``rqpy`` itself, with a note of how long each of its transactions waited for the queue lock.

    python bench/nfs/watched.py WAITS ARGUMENT...

The arguments are those of ``rqpy``. When it ends the file WAITS has the seconds, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rq_py.cli.main import main as rqpy
from rq_py.locking import queuelock
from rq_py.locking.queuelock import HeldLock


def main() -> None:
    """Be ``rqpy``."""
    path, *arguments = sys.argv[1:]
    waits: list[float] = []
    acquire = queuelock.acquire

    def watched(*given: Any, **named: Any) -> HeldLock:
        lock = acquire(*given, **named)
        waits.append(lock.waited)
        return lock

    queuelock.acquire = watched
    sys.argv = ["rqpy", *arguments]
    try:
        rqpy()
    finally:
        Path(path).write_text(json.dumps(waits), encoding="ascii")


if __name__ == "__main__":
    main()
