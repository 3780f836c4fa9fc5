"""The limits of this machine: commits on this disk, fsync, starting processes, starting Python."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing

from bench.case import Case, Contestant, Metric
from bench.lab import Lab

METRICS = (Metric("per_second", "a second", 0, more_is_better=True),)


def _commits(lab: Lab, journal: str, synchronous: str) -> Mapping[str, float]:
    count = lab.size(500, 200)
    with lab.folder() as folder, closing(sqlite3.connect(folder / "db", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        begin = time.perf_counter()
        for _ in range(count):
            connection.execute("INSERT INTO t (b) VALUES ('true')")
        return {"per_second": count / (time.perf_counter() - begin)}


def _fsyncs(lab: Lab) -> Mapping[str, float]:
    count = lab.size(500, 200)
    with lab.folder() as folder, (folder / "file").open("wb", buffering=0) as file:
        file.write(bytes(4096))
        begin = time.perf_counter()
        for _ in range(count):
            os.pwrite(file.fileno(), os.urandom(4096), 0)
            os.fsync(file.fileno())
        return {"per_second": count / (time.perf_counter() - begin)}


def _starts(lab: Lab, argv: list[str], full: int) -> Mapping[str, float]:
    """One process after the other."""
    count = lab.size(full, max(full // 5, 10))
    begin = time.perf_counter()
    for _ in range(count):
        os.waitpid(os.posix_spawn(argv[0], argv, os.environ), 0)
    return {"per_second": count / (time.perf_counter() - begin)}


def _contestants(lab: Lab, stack: ExitStack) -> list[Contestant]:
    del stack
    measures: dict[str, Callable[[], Mapping[str, float]]] = {
        "fsync-4-KiB": lambda: _fsyncs(lab),
        "sqlite-PERSIST-FULL-commits": lambda: _commits(lab, "PERSIST", "FULL"),
        "sqlite-WAL-FULL-commits": lambda: _commits(lab, "WAL", "FULL"),
        "sqlite-WAL-NORMAL-commits": lambda: _commits(lab, "WAL", "NORMAL"),
        "sh-processes": lambda: _starts(lab, ["/bin/sh", "-c", "true"], 2000),
        "bash-processes": lambda: _starts(lab, ["/bin/bash", "-c", "true"], 1000),
        "python-processes": lambda: _starts(lab, [sys.executable, "-c", "pass"], 100),
    }
    return [Contestant(name, measure) for name, measure in measures.items()]


CASES = (
    Case(
        name="limits",
        title="What this machine can do, one after the other",
        metrics=METRICS,
        contestants=_contestants,
        notes=("WAL does not work on NFS: it stands here because other queues use it.",),
    ),
)
