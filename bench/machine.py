"""The facts of this machine that the figures depend on: processor, kernel, disk, Python, SQLite."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import statistics
import sys
import time
from pathlib import Path

from bench.statistic import significant


def facts(folder: Path) -> dict[str, object]:
    """What is to stand beside the figures; ``folder`` is on the disk that is measured."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "distribution": _distribution(),
        "file_system": _file_system(folder),
        "fsync_ms": significant(_fsync_seconds(folder) * 1e3, 3),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def load() -> float:
    """How busy the machine is: the load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def _cpu_model() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", sys.platform)
    except OSError:
        return sys.platform


def _file_system(folder: Path) -> str:
    """The type of the file system under ``folder``: the longest mount point above it, proc_mounts(5)."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    path = f"{folder.resolve()}/"
    above = [fields for fields in mounts if path.startswith(fields[1].rstrip("/") + "/")]
    return max(above, key=lambda fields: len(fields[1]))[2] if above else "unknown"


def _fsync_seconds(folder: Path, count: int = 50) -> float:
    """The median of writing 4 KiB into an existing file and fsync."""
    path = folder / "fsync"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            os.pwrite(descriptor, os.urandom(4096), 0)
            os.fsync(descriptor)
            times.append(time.perf_counter() - begin)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(times)
