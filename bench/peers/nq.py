"""nq: a queue made of locked files, without any server; one job at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers.peer import Client, Fifo, Gate, Peer, run
from bench.tools import Tools


class Nq(Peer):
    """``nq``; each job that waits is a process that waits for the one before."""

    name = "nq"
    title = "nq (one job at a time)"
    note = "one slot, it knows no more; a process waits for each job that waits"
    most_jobs = 300
    _program = "nq"

    def install(self, tools: Tools) -> str:
        """Debian has it."""
        version = tools.debian("nq")
        self._program = tools.program("nq")
        return version

    def drain(self, folder: Path, shell: str, jobs: int) -> float:
        """A first job keeps all others waiting until they are there."""
        environment = {**os.environ, "NQDIR": str(folder / "queue")}
        with Gate(folder / "gate") as gate, Fifo(folder / "last") as last:
            for command in (gate.command, *["true"] * (jobs - 1), last.command):
                run([self._program, shell, "-c", command], environment)
            begin = time.monotonic()
            gate.open(1)
            return last.wait() - begin

    @contextmanager
    def accepting(self, folder: Path, *, workers: bool) -> Iterator[Client]:
        """Every job brings its own worker; without workers, a first job keeps them waiting."""
        environment = {**os.environ, "NQDIR": str(folder / "queue")}
        try:
            with Gate(folder / "gate") as gate:
                if not workers:
                    run([self._program, "sh", "-c", gate.command], environment)
                yield Client([self._program, "sh", "-c"], environment)
        finally:
            run([self._program, "-w"], environment)
