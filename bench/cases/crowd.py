"""Many feeders and submitters on one local queue: how long they wait for the lock, who gets the jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack

from bench import contender
from bench.case import CannotRun, Case, Contestant, Metric, Promise
from bench.lab import Lab, node_name
from bench.peers.ours import feed_command, queue_in
from bench.peers.peer import PATIENCE, daemon
from bench.statistic import percentile
from rq_py import JobSpec, Queue

FEEDERS, SUBMITTERS = 16, 8


def _contestants(lab: Lab, stack: ExitStack) -> list[Contestant]:
    del stack
    return [
        Contestant("crowd", lambda: _measure(lab, "sleep 0.1")),
        Contestant("flood", lambda: _measure(lab, "true")),
    ]


def _measure(lab: Lab, command: str) -> Mapping[str, float]:
    seconds = lab.seconds(30, 6)
    with lab.folder() as folder, queue_in(folder) as queue, ExitStack() as stack:
        # Nobody is to run out of jobs.
        queue.submit_many(JobSpec(command, cwd="/") for _ in range(int(3000 * (seconds + 20))))
        for number in range(FEEDERS):
            environment = {**os.environ, "RQ_NODE": node_name(number)}
            argv = feed_command(queue, slots=1)
            stack.enter_context(daemon(argv, folder / f"feeder.{number}.log", environment))
        _wait_for_all(queue)
        before = _jobs_of_feeders(queue)
        verbs = ["submit"] * SUBMITTERS + ["look"]
        contender_argv = [sys.executable, contender.__file__, str(queue.path), str(seconds)]
        crowd = [subprocess.Popen([*contender_argv, verb], stdout=subprocess.PIPE) for verb in verbs]
        waits = [json.loads(process.communicate()[0] or "[]") for process in crowd]
        after = _jobs_of_feeders(queue)
    jobs = [after[name] - before.get(name, 0) for name in after]
    everybody = [wait for them in waits for wait in them]
    if any(process.returncode for process in crowd) or not everybody:
        raise CannotRun("a submitter failed")
    return {
        "lock_wait_p99_ms": percentile(everybody, 0.99) * 1e3,
        "prober_wait_p99_ms": percentile(waits[-1], 0.99) * 1e3,
        "lock_wait_most_ms": max(everybody) * 1e3,
        "least_to_mean": min(jobs) / (sum(jobs) / len(jobs)),
        "most_to_mean": max(jobs) / (sum(jobs) / len(jobs)),
        "jobs_per_second": sum(jobs) / seconds,
        "submits_per_second": sum(len(them) for them in waits[:-1]) / seconds,
    }


def _wait_for_all(queue: Queue) -> None:
    """Wait until every feeder has run a job."""
    deadline = time.monotonic() + PATIENCE
    while len(_jobs_of_feeders(queue)) < FEEDERS:
        if time.monotonic() > deadline:
            raise CannotRun(f"not all {FEEDERS} feeders got a job within {PATIENCE:.0f} s")
        time.sleep(0.5)


def _jobs_of_feeders(queue: Queue) -> dict[str, int]:
    """How many jobs each feeder has claimed."""
    with queue.store.read() as tx:
        sql = "SELECT feeder, count(*) FROM jobs WHERE state IN ('running', 'finished') GROUP BY feeder"
        return dict(tx.execute(sql).fetchall())


CASES = (
    Case(
        name="crowd",
        title=f"{FEEDERS} feeders with a slot each, {SUBMITTERS} submitters, one local queue with a backlog",
        metrics=(
            Metric("lock_wait_p99_ms", "lock wait, 99th percentile, ms"),
            Metric("prober_wait_p99_ms", "the same of a reader alone, ms"),
            Metric("lock_wait_most_ms", "longest, ms"),
            Metric("least_to_mean", "least jobs of a feeder to the mean", 2, more_is_better=True),
            Metric("most_to_mean", "most jobs to the mean", 2),
            Metric("jobs_per_second", "jobs/s", more_is_better=True),
            Metric("submits_per_second", "submits/s", more_is_better=True),
        ),
        contestants=_contestants,
        promises=(
            Promise("99 of 100 lock waits below 1 s", "crowd", "lock_wait_p99_ms", most=1000),
            Promise("no feeder below half of the mean", "crowd", "least_to_mean", least=0.5),
        ),
        rounds=3,
        short_rounds=1,
        notes=(
            "Lock waits are those of the submitters and of one process that only reads.",
            "`crowd` has jobs `sleep 0.1`: its feeders meet at the lock only, as those of 16 machines do.",
            "`flood` has jobs `true`: 16 feeders, 16 runners and their jobs also share these processors, and "
            "whoever holds the lock waits for one.",
        ),
    ),
)
