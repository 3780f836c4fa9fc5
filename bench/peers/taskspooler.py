"""task-spooler: a server that starts by itself and keeps its queue in memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.lab import SLOTS
from bench.peers.peer import Client, Fifo, Gate, Peer, run
from bench.tools import Tools


class TaskSpooler(Peer):
    """``tsp``; each job that waits is a process that waits."""

    name = "tsp"
    title = f"task-spooler, -S {SLOTS}"
    note = "a process waits for each job that waits"
    most_jobs = 500
    _program = "tsp"

    def install(self, tools: Tools) -> str:
        """Debian calls it tsp."""
        version = tools.debian("task-spooler")
        self._program = tools.program("tsp")
        return version

    @contextmanager
    def _server(self, folder: Path) -> Iterator[Mapping[str, str]]:
        """A server of one's own; the environment names it."""
        environment = {**os.environ, "TS_SOCKET": f"{folder}/socket", "TMPDIR": str(folder)}
        try:
            run([self._program, "-S", str(SLOTS)], environment)
            yield environment
        finally:
            run([self._program, "-K"], environment)

    def drain(self, folder: Path, shell: str, jobs: int) -> float:
        """Two jobs keep both slots until all others are there."""
        with (
            self._server(folder) as environment,
            Gate(folder / "gate") as gate,
            Fifo(folder / "last") as last,
        ):
            for command in (*[gate.command] * SLOTS, *["true"] * (jobs - 1), last.command):
                run([self._program, shell, "-c", command], environment)
            begin = time.monotonic()
            gate.open(SLOTS)
            return last.wait() - begin

    @contextmanager
    def accepting(self, folder: Path, *, workers: bool) -> Iterator[Client]:
        """The server is the worker; without workers, its slots are taken."""
        with self._server(folder) as environment, Gate(folder / "gate") as gate:
            for _ in range(0 if workers else SLOTS):
                run([self._program, "sh", "-c", gate.command], environment)
            yield Client([self._program, "sh", "-c"], environment)
