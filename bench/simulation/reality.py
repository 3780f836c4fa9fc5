"""The real thing, to compare with and to take costs from: feeders on a queue on this machine, for a while."""

from __future__ import annotations

import fcntl
import os
import random
import struct
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.case import CannotRun
from bench.lab import node_name
from bench.peers.ours import feed_command, queue_in
from bench.peers.peer import PATIENCE, daemon
from rq_py import JobSpec, Queue, State

#: struct flock of fcntl(2) on 64-bit Linux: type, whence, start, length, pid.
_FLOCK = "hhqqi4x"
#: Mean seconds between two looks at the lock.
_LOOK_EVERY = 0.01
#: Seconds after the last feeder's first job, before anything is counted: claim-ahead learns meanwhile.
WARM_UP = 3.0


@dataclass(frozen=True)
class Crowd:
    """``feeders`` with ``slots`` each, all on this machine, and a backlog of jobs that take ``seconds``."""

    feeders: int
    slots: int
    seconds: float

    @property
    def command(self) -> str:
        """The job: nothing but the shell where it takes no time."""
        return f"sleep {self.seconds:g}" if self.seconds else "true"

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"{self.feeders} x {self.slots} slots, {self.command}"


@dataclass(frozen=True)
class Seen:
    """What was counted in ``seconds`` of it; CPU seconds are of all processes of a kind together."""

    seconds: float
    jobs: int
    transactions: int
    lock_used: float
    least_to_mean: float
    feeder_cpu: float
    runner_cpu: float
    shell_cpu: float

    @property
    def jobs_per_second(self) -> float:
        """The throughput."""
        return self.jobs / self.seconds

    @property
    def transactions_per_second(self) -> float:
        """Of those that changed something."""
        return self.transactions / self.seconds


def watch(folder: Path, crowd: Crowd, seconds: float, most_per_second: float = 1500.0) -> Seen:
    """Have ``crowd`` at work on a new queue in ``folder``, and count for ``seconds``. Raises CannotRun."""
    with queue_in(folder) as queue, ExitStack() as stack:
        rate = min(crowd.feeders * crowd.slots / max(crowd.seconds, 1e-3), most_per_second)
        count = int(rate * (seconds + WARM_UP + 5 + 2 * crowd.feeders)) + 1000
        queue.submit_many(JobSpec(crowd.command, cwd="/") for _ in range(count))
        pids = []
        for number in range(crowd.feeders):
            environment = {**os.environ, "RQ_NODE": node_name(number)}
            log = folder / f"feeder.{number}.log"
            feeder = stack.enter_context(daemon(feed_command(queue, slots=crowd.slots), log, environment))
            pids.append(feeder.pid)
        _wait_for_all(queue, crowd.feeders)
        time.sleep(WARM_UP)
        runners = _runners(queue)
        before = _count(queue, pids, runners)
        lock_used = _share_held(before.lock, time.monotonic() + seconds)
        after = _count(queue, pids, runners)
        is_endless = any(queue.jobs(State.PENDING))
    if not is_endless:
        raise CannotRun(f"{crowd.title}: the backlog of {count} jobs was too small")
    jobs = [after.jobs[name] - before.jobs.get(name, 0) for name in after.jobs]
    used = [late - early for late, early in zip(after.cpu, before.cpu, strict=True)]
    return Seen(
        seconds=after.at - before.at,
        jobs=sum(jobs),
        transactions=after.changes - before.changes,
        lock_used=lock_used,
        least_to_mean=min(jobs) / (sum(jobs) / len(jobs)) if sum(jobs) else 0.0,
        feeder_cpu=used[0],
        runner_cpu=used[1],
        shell_cpu=used[2],
    )


@dataclass(frozen=True)
class _Counted:
    at: float
    jobs: Mapping[str, int]
    changes: int
    cpu: tuple[float, float, float]
    lock: Path


def _count(queue: Queue, feeders: list[int], runners: list[int]) -> _Counted:
    with queue.store.read() as tx:
        at = time.monotonic()  # with the lock held: nothing ends in the database now
        sql = "SELECT feeder, count(*) FROM jobs WHERE state = 'finished' GROUP BY feeder"
        jobs = dict(tx.execute(sql).fetchall())
        own = [_cpu(pid)[0] for pid in feeders]
        others = [_cpu(pid) for pid in runners]
    database = (queue.path / "db").resolve()
    cpu = sum(own), sum(mine for mine, _ in others), sum(theirs for _, theirs in others)
    return _Counted(at, jobs, _changes(database), cpu, database.with_name("lock"))


def _changes(database: Path) -> int:
    """How often the database was changed: its change counter (https://www.sqlite.org/fileformat.html)."""
    with database.open("rb") as file:
        return int.from_bytes(file.read(28)[24:], "big")


def _wait_for_all(queue: Queue, feeders: int) -> None:
    """Wait until every feeder has claimed a job."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with queue.store.read() as tx:
            ((count,),) = tx.execute("SELECT count(DISTINCT feeder) FROM jobs").fetchall()
        if count == feeders:
            return
        if time.monotonic() > deadline:
            raise CannotRun(f"not all {feeders} feeders got a job within {PATIENCE:.0f} s")
        time.sleep(0.5)


def _runners(queue: Queue) -> list[int]:
    """The pids of the runners of all feeders on this queue."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            stat = (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if b"rq_py.runner" in words and any(os.fsencode(queue.settings.uuid) in word for word in words):
            parents[int(process.name)] = int(stat[1])
    # A shell looks like its runner for the moment before it is executed.
    return [pid for pid, parent in parents.items() if parent not in parents]


def _cpu(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of the children that it has waited for: proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    own, children = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
    ticks = os.sysconf("SC_CLK_TCK")
    return own / ticks, children / ticks


def _share_held(lock: Path, end: float) -> float:
    """The share of looks at which somebody held the lock, until ``end``; random, so that no rhythm is met."""
    looks = held = 0
    free = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    descriptor = os.open(lock, os.O_RDWR)
    try:
        while time.monotonic() < end:
            answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, free)
            looks += 1
            held += struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK
            time.sleep(random.expovariate(1 / _LOOK_EVERY))
    finally:
        os.close(descriptor)
    return held / max(looks, 1)
