"""What the queue's transactions cost where it lies, in seconds, by batches of two sizes.

    python bench/nfs/costs.py QUEUE ROUNDS

Claims jobs of the queue and finishes them without running them; each round needs FEW + MANY pending ones, and
submits as many. Prints the medians as JSON, with the names that ``bin/simulate --costs`` reads:

- ``fixed``: a transaction that changes something, from the lock that is had to the lock that was let go,
  without ``claim``, ``begin``, ``finish`` and ``submit``, which is what each job adds to it
- ``empty``: one that changes nothing; ``cpu_share`` of ``fixed`` is work of the processor
- ``lock``: from the begin of a transaction until it has the lock; says something where nobody else wants it
- ``poll``: an idle feeder's look at the queue; ``renewal`` of a lease, and a ``look`` at one

Between two transactions it pauses at random, so that several of them on several nodes take turns: each then
finds a database that another node has changed, and that is not in its cache.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from rq_py import JobSpec, Queue, claims, clock
from rq_py.claims import Outcome
from rq_py.job import Job
from rq_py.locking import queuelock
from rq_py.locking.lease import NodeLease
from rq_py.locking.looks import Watch
from rq_py.locking.owner import Owner, feeder_id, node_name
from rq_py.locking.queuelock import HeldLock
from rq_py.store.transaction import Transaction

#: Jobs in a small and in a large batch.
FEW, MANY = 1, 100
#: What the batches are of.
BATCHES = ("claim", "begin", "finish", "submit")
#: Longest pause between two transactions, in seconds.
_PAUSE = 0.2


class Clerk:
    """Times transactions; ``seconds`` has what was measured, by what it was."""

    def __init__(self, queue: Queue) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._queue = queue
        self._node = node_name()
        self._feeder = feeder_id(self._node, os.getuid())
        lease = queue.dir.feeders / self._feeder
        self._lease = NodeLease(lease, Owner.of_this_process(), queue.settings.file_mode)
        self._watch = Watch(lease)

    def round(self) -> None:
        """A small batch and a large one of everything, and everything else once."""
        for name, size in (("few", FEW), ("many", MANY)):
            jobs = self._batch("claim", name, partial(self._claim, size=size))
            self._batch("begin", name, partial(_begin, jobs=jobs))
            self._batch("finish", name, partial(claims.finish_all, outcomes=_outcomes(jobs)))
            specs = [JobSpec("true", cwd="/")] * size
            with self._timed(f"submit {name}"):
                self._queue.submit_many(specs)
        self._batch("empty", "few", lambda _: None)
        for what, verb in (
            ("poll", self._queue.store.mark),
            ("renewal", self._lease.renew),
            ("look", self._watch.look),
        ):
            begun = time.perf_counter()
            verb()
            self.seconds[what].append(time.perf_counter() - begun)

    def _batch(self, what: str, name: str, work: Callable[[Transaction], Any]) -> Any:
        with self._timed(f"{what} {name}"), self._queue.store.write() as tx:
            return work(tx)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        """Time the one transaction of the block: until it has the lock, and from then on."""
        time.sleep(random.uniform(0, _PAUSE))  # noqa: S311  (no secret)
        had: list[tuple[float, float]] = []
        acquire = queuelock.acquire

        def acquired(*given: Any, **named: Any) -> HeldLock:
            lock = acquire(*given, **named)
            had.append((time.perf_counter(), time.process_time()))
            return lock

        queuelock.acquire = acquired
        try:
            begun = time.perf_counter()
            yield
            end, worked = time.perf_counter(), time.process_time()
        finally:
            queuelock.acquire = acquire
        ((at, work),) = had
        self.seconds["lock"].append(at - begun)
        self.seconds[what].append(end - at)
        self.seconds[f"work {what}"].append(worked - work)

    def _claim(self, tx: Transaction, size: int) -> list[Job]:
        jobs = claims.claim(
            tx,
            feeder=self._feeder,
            node=self._node,
            pids=[],
            journal="0",
            now=clock.utc_text(),
            ahead=size,
        )
        if len(jobs) != size:
            sys.exit(f"{self._queue.path}: has no {size} pending jobs")
        return jobs


def _begin(tx: Transaction, jobs: Sequence[Job]) -> None:
    for job in jobs:
        claims.begin(tx, job.jid, job.attempt, job.token, pid=os.getpid())


def _outcomes(jobs: Sequence[Job]) -> list[Outcome]:
    now = clock.utc_text()
    return [Outcome(job.jid, job.attempt, job.token, 0, None, now, 0.01, 0.0, 0.0, 1 << 20) for job in jobs]


def costs_of(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The costs of one thing each, from the medians of the batches. A slope below 0 is noise, and 0."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    slopes = {
        what: max((medians[f"{what} many"] - medians[f"{what} few"]) / (MANY - FEW), 0.0) for what in BATCHES
    }
    fixed = statistics.median(medians[f"{what} few"] - FEW * slopes[what] for what in BATCHES)
    work = statistics.median(medians[f"work {what} few"] for what in BATCHES)
    return {
        "fixed": fixed,
        "empty": medians["empty few"],
        "cpu_share": min(work / fixed, 1.0),
        **slopes,
        **{name: medians[name] for name in ("lock", "poll", "renewal", "look")},
    }


def main() -> None:
    """Measure and print."""
    clerk = Clerk(Queue(sys.argv[1]))
    for _ in range(int(sys.argv[2])):
        clerk.round()
    sys.stdout.write(f"{json.dumps(costs_of(clerk.seconds))}\n")


if __name__ == "__main__":
    main()
