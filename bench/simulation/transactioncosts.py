"""Measures what transactions cost: the program's own ones, on a queue on the disk that is meant."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.simulation.costs import Costs
from bench.simulation.fit import line
from rq_py import JobSpec, Queue, claims, clock
from rq_py.claims import Outcome
from rq_py.job import Job
from rq_py.locking import queuelock
from rq_py.locking.lease import NodeLease
from rq_py.locking.owner import Owner
from rq_py.locking.queuelock import HeldLock

#: How many jobs the measured transactions carry, and how often each of them is measured.
SIZES = (1, 2, 4, 8, 16, 32, 64)
ROUNDS = 15
#: How often what costs little is measured.
TIMES = 50


@dataclass
class Stopwatch:
    """How long the queue lock was held, and how much processor time the holder used meanwhile; seconds."""

    held: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within the block each transaction of this process is measured."""
        acquire, close = queuelock.acquire, HeldLock.close
        begun = [0.0, 0.0]

        def acquired(*words: Any, **options: Any) -> HeldLock:
            lock = acquire(*words, **options)
            begun[:] = time.perf_counter(), time.process_time()
            return lock

        def closed(lock: HeldLock) -> None:
            close(lock)
            self.held.append(time.perf_counter() - begun[0])
            self.worked.append(time.process_time() - begun[1])

        with patch.object(queuelock, "acquire", acquired), patch.object(HeldLock, "close", closed):
            yield


def measure(folder: Path) -> dict[str, float]:
    """The figures of ``Costs`` that transactions have; on a new queue in ``folder``, some 15 s."""
    queue = Queue.create(folder / "costs", settings={"shell": "sh", "login": "never"})
    queue.submit_many(JobSpec("true", cwd="/") for _ in range(ROUNDS * sum(SIZES)))
    held: dict[str, dict[int, list[float]]] = {name: {size: [] for size in SIZES} for name in VERBS}
    worked: list[float] = []
    for _ in range(ROUNDS):
        for size in SIZES:
            jobs: list[Job] = []
            for name, verb in VERBS.items():
                watch = Stopwatch()
                with watch.running():
                    jobs = verb(queue, size, jobs)
                held[name][size].append(watch.held[0])
                if size == 1:
                    worked.append(watch.worked[0])
    lines = {name: line(times) for name, times in held.items()}
    fixed = statistics.median(fixed for fixed, _ in lines.values())
    return {
        "fixed": fixed,
        "empty": _of_empty(queue),
        "cpu_share": min(statistics.median(worked) / fixed, 1.0),
        **{name: each for name, (_, each) in lines.items()},
        "attempt": _of_attempt(queue),
        "poll": _each(queue.store.mark),
        "renewal": _of_renewal(queue),
    }


class Probe:
    """Measures again what a transaction costs just now, on a queue in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._queue = Queue.create(folder / "probe", settings={"shell": "sh", "login": "never"})

    def fixed(self, costs: Costs) -> float:
        """What is fixed now; what a job adds hardly changes and is taken from ``costs``."""
        held = []
        for _ in range(ROUNDS):
            watch = Stopwatch()
            with watch.running():
                _submit(self._queue, 1, [])
            held += watch.held
        return max(statistics.median(held) - costs.submit, costs.empty)


# --- the transactions that change something ----------------------------------------------------------------


def _claim(queue: Queue, size: int, _: list[Job]) -> list[Job]:
    with queue.store.write() as tx:
        return claims.claim(
            tx, feeder="n.0", node="n", pids=range(1, size + 1), journal="j", now=clock.utc_text()
        )


def _begin(queue: Queue, _: int, jobs: list[Job]) -> list[Job]:
    with queue.store.write() as tx:
        for job in jobs:
            claims.begin(tx, job.jid, job.attempt, job.token, pid=7)
    return jobs


def _finish(queue: Queue, _: int, jobs: list[Job]) -> list[Job]:
    now = clock.utc_text()
    outcomes = [
        Outcome(job.jid, job.attempt, job.token, 0, None, now, 0.001, 0.001, 0.0, 1_000_000) for job in jobs
    ]
    with queue.store.write() as tx:
        claims.finish_all(tx, outcomes)
    return jobs


def _submit(queue: Queue, size: int, jobs: list[Job]) -> list[Job]:
    queue.submit_many(JobSpec("true", cwd="/") for _ in range(size))
    return jobs


#: The name of a cost, and a transaction of so many of it; what it returns the next one is given.
VERBS: dict[str, Callable[[Queue, int, list[Job]], list[Job]]] = {
    "claim": _claim,
    "begin": _begin,
    "finish": _finish,
    "submit": _submit,
}

# --- the others --------------------------------------------------------------------------------------------


def _of_empty(queue: Queue) -> float:
    watch = Stopwatch()
    with watch.running():
        for _ in range(TIMES):
            with queue.store.write():
                pass
    return statistics.median(watch.held)


def _of_attempt(queue: Queue) -> float:
    """A try for the lock while another process holds it."""
    path = queue.store.generations.current().lock
    context = multiprocessing.get_context("fork")
    is_held, is_over = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(path, is_held, is_over))
    holder.start()
    is_held.wait()
    descriptor = os.open(path, os.O_RDWR)

    def attempt() -> None:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        raise RuntimeError(f"{path}: was to be held by somebody else")

    try:
        return _each(attempt)
    finally:
        is_over.set()
        holder.join()
        os.close(descriptor)


def _hold(path: Path, is_held: Event, is_over: Event) -> None:
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        is_held.set()
        is_over.wait()


def _of_renewal(queue: Queue) -> float:
    lease = NodeLease(queue.dir.feeders / "n.0", Owner.of_this_process(), queue.settings.file_mode)
    return _each(lease.renew)


def _each(verb: Callable[[], object]) -> float:
    """The median of many times."""
    times = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        verb()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)
