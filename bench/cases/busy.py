"""A feeder under a backlog of short jobs: jobs in a transaction, and how long it holds the lock."""

from __future__ import annotations

import fcntl
import os
import random
import struct
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from bench.case import CannotRun, Case, Contestant, Metric, Promise
from bench.lab import Lab
from bench.peers.ours import feed_command, queue_in
from rq_py import JobSpec

#: struct flock of fcntl(2) on 64-bit Linux: type, whence, start, length, pid.
_FLOCK = "hhqqi4x"
#: Mean seconds between two looks at the lock. Random, so that no rhythm of the feeder is met.
_LOOK_EVERY = 0.002


def _contestants(lab: Lab, stack: ExitStack) -> list[Contestant]:
    del stack
    return [Contestant("feeder", lambda: _measure(lab))]


def _measure(lab: Lab) -> Mapping[str, float]:
    jobs = lab.size(10_000, 2_000)
    with lab.folder() as folder, queue_in(folder) as queue:
        queue.submit_many(JobSpec("true", cwd="/") for _ in range(jobs))
        database = (queue.path / "db").resolve()
        transactions = -_changes(database)
        begin = time.monotonic()
        with subprocess.Popen(feed_command(queue, "--until-empty")) as feeder:
            held = _share_held(feeder, database.with_name("lock"))
        seconds = time.monotonic() - begin
        if feeder.returncode:
            raise CannotRun(f"the feeder ended with {feeder.returncode}")
        transactions += _changes(database)
    return {
        "jobs_per_transaction": jobs / transactions,
        "lock_held_percent": held * 100,
        "jobs_per_second": jobs / seconds,
    }


def _changes(database: Path) -> int:
    """How often the database was changed: its change counter (https://www.sqlite.org/fileformat.html).

    Every transaction of rq_py has a connection of its own, and so counts once.
    """
    with database.open("rb") as file:
        return int.from_bytes(file.read(28)[24:], "big")


def _share_held(feeder: subprocess.Popen[bytes], lock: Path) -> float:
    """The share of looks at which some other process held the lock, until the feeder ends."""
    looks = held = 0
    free = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    descriptor = os.open(lock, os.O_RDWR)
    try:
        while feeder.poll() is None:
            answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, free)
            looks += 1
            held += struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK
            time.sleep(random.expovariate(1 / _LOOK_EVERY))
    finally:
        os.close(descriptor)
        feeder.wait()
    return held / max(looks, 1)


CASES = (
    Case(
        name="busy",
        title="A feeder that drains 10,000 jobs `true` with 2 slots: its transactions and its lock",
        metrics=(
            Metric("jobs_per_transaction", "jobs a transaction", more_is_better=True),
            Metric("lock_held_percent", "% of the time that the lock is held"),
            Metric("jobs_per_second", "jobs/s", more_is_better=True),
        ),
        contestants=_contestants,
        promises=(
            Promise("at least 8 jobs a transaction", "feeder", "jobs_per_transaction", least=8),
            Promise("lock held for less than 5 % of the time", "feeder", "lock_held_percent", most=5),
        ),
        notes=(
            "Transactions that changed something are counted by SQLite in the database's header.",
            "The lock is looked at from another process (F_GETLK), at random moments 2 ms apart on average.",
        ),
    ),
)
