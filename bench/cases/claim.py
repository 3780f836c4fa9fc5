"""A claim in a short and in a long queue: wall time, and how many steps SQLite takes for it."""

from __future__ import annotations

import os
import sqlite3
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial

from bench.case import Case, Contestant, Metric, Promise
from bench.lab import Lab, node_name
from bench.peers.ours import queue_in
from rq_py import JobSpec, Queue, claims, clock
from rq_py.claims import CLAIMABLE

#: Claims in a round.
CLAIMS = 40
FEW = "1,000-pending"
MANY = "1,000,000-pending"
OTHERS = "999,000-not-eligible"


def _jobs(eligible: int, others: int) -> Iterator[JobSpec]:
    """Those for another node come first, and would be claimed first."""
    for _ in range(others):
        yield JobSpec("true", cwd="/", required_runner="elsewhere", priority=1)
    for _ in range(eligible):
        yield JobSpec("true", cwd="/")


def _measure(queue: Queue) -> Mapping[str, float]:
    """Claim one job at a time, each in a transaction of its own, and give all back."""
    times, transactions, claimed = [], [], []
    for _ in range(CLAIMS):
        begin = time.perf_counter()
        with queue.store.write() as tx:
            claiming = time.perf_counter()
            claimed += claims.claim(
                tx,
                feeder=f"{node_name()}.{os.getuid()}",
                node=node_name(),
                pids=[os.getpid()],
                journal="bench",
                now=clock.utc_text(),
            )
            times.append(time.perf_counter() - claiming)
        transactions.append(time.perf_counter() - begin)
    if len(claimed) != CLAIMS:
        raise OSError(f"only {len(claimed)} of {CLAIMS} jobs could be claimed")
    with queue.store.write() as tx:
        for job in claimed:
            claims.release(tx, job.jid, job.attempt, job.token)
    return {
        "claim_us": statistics.median(times) * 1e6,
        "transaction_ms": statistics.median(transactions) * 1e3,
        "search_steps": _steps(queue),
    }


def _steps(queue: Queue) -> float:
    """The steps of SQLite's virtual machine that finding a job takes."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with closing(sqlite3.connect(f"file:{queue.path}/db?mode=ro", uri=True)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # reads the schema
        connection.set_progress_handler(count, 1)
        connection.execute(CLAIMABLE, {"node": node_name(), "limit": 1}).fetchall()
    return steps


def _contestants(lab: Lab, stack: ExitStack) -> list[Contestant]:
    few = max(lab.size(1_000), CLAIMS)
    many = max(lab.size(1_000_000, 100_000), 2 * few)
    sizes = {FEW: (few, 0), MANY: (many, 0), OTHERS: (few, many - few)}
    contestants = []
    for name, (eligible, others) in sizes.items():
        queue = stack.enter_context(queue_in(stack.enter_context(lab.folder())))
        queue.submit_many(_jobs(eligible, others))
        contestants.append(Contestant(name, partial(_measure, queue)))
    return contestants


CASES = (
    Case(
        name="claim",
        title="Claim a job: 1,000, 1,000,000, or 1,000 behind 999,000 for another node (short: 100,000)",
        metrics=(
            Metric("claim_us", "us in the transaction"),
            Metric("transaction_ms", "ms, whole transaction", 2),
            Metric("search_steps", "SQLite steps to find it", 0),
        ),
        contestants=_contestants,
        promises=(
            Promise("1,000,000: at most 1.2 x 1,000, time", MANY, "claim_us", (FEW,), most=1.2),
            Promise("999,000 not eligible: at most 1.2 x 1,000, time", OTHERS, "claim_us", (FEW,), most=1.2),
            Promise("1,000,000: at most 1.2 x 1,000, steps", MANY, "search_steps", (FEW,), most=1.2),
            Promise(
                "999,000 not eligible: at most 1.2 x 1,000, steps", OTHERS, "search_steps", (FEW,), most=1.2
            ),
        ),
        neighbour=FEW,
        rounds=9,
    ),
)
