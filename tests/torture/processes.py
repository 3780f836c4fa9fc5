"""Finds the processes of one torture by RQ_NODE in their environment, and signals them, never another."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One process of rq_py: a ``feeder``, a ``runner`` or a ``mode``; all else of that node is a ``job``."""

    pid: int
    node: str
    kind: str


def processes_of(prefix: str) -> Iterator[Process]:
    """Everything that runs under a node name that begins with ``prefix``: proc(5)."""
    wanted = f"RQ_NODE={prefix}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for variable in (folder / "environ").read_bytes().split(b"\0"):
                if variable.startswith(wanted):
                    words = (folder / "cmdline").read_bytes().split(b"\0")
                    yield Process(int(folder.name), variable[8:].decode(), _kind(words))
                    break


def _kind(words: list[bytes]) -> str:
    if b"rq_py.runner" in words:
        return "runner"
    if b"rq_py" in words:
        return "feeder" if b"feed" in words else "mode"
    return "job"


class Handle:
    """A process that can be signalled as long as it lives, whoever has its pid afterwards."""

    def __init__(self, pid: int) -> None:
        """Raises ProcessLookupError when it is gone."""
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def send(self, signum: signal.Signals) -> bool:
        """Signal it; whether it was still there."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signum)
            return True
        return False

    def close(self) -> None:
        """Forget it."""
        os.close(self._descriptor)


def kill_all(prefix: str) -> None:
    """End everything of ``prefix``, also what is started meanwhile."""
    while found := [process.pid for process in processes_of(prefix) if not _is_zombie(process.pid)]:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _is_zombie(pid: int) -> bool:
    """Whether it has ended and is only not waited for."""
    try:
        return b"\nState:\tZ" in Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return True
