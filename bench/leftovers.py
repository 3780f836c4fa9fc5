"""Ends what was left running: processes that have a name of this run in their environment or arguments."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def end_users_of(*names: str) -> list[str]:
    """Kill every process, besides this one, that has one of ``names`` in its environment or arguments.

    Returns what was killed, as ``pid program``.
    """
    wanted = [os.fsencode(name) for name in names]
    killed = []
    for process in Path("/proc").glob("[0-9]*"):
        # Those of other users cannot be read, and are none of ours.
        with suppress(OSError):
            given = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            if any(name in given for name in wanted) and int(process.name) != os.getpid():
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                os.kill(int(process.name), signal.SIGKILL)
                killed.append(f"{process.name} {name}")
    return killed
