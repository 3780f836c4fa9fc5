"""Short jobs over real NFS, in the lab of virtual machines: batches beside one job a transaction."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from bench.case import Case, Contestant, Metric, Promise
from bench.lab import Lab
from bench.nfs.report import LabRun, command

CONTESTANTS = ("rqpy", "one-job-a-transaction")


def _contestants(lab: Lab, stack: ExitStack) -> list[Contestant]:
    del stack
    run = LabRun(command(lab.rounds, int(lab.seconds(40, 10))), lab.cache / "nfs-costs.yml")
    return [Contestant(name, partial(run.next, name)) for name in CONTESTANTS]


CASES = (
    Case(
        name="nfs",
        title="NFS lab, v4.2, 2 clients with 2 feeders each, short jobs",
        metrics=(
            Metric("jobs_per_second", "jobs/s", more_is_better=True),
            Metric("jobs_per_transaction", "jobs a transaction", more_is_better=True),
            Metric("lock_wait_median_ms", "lock wait, median, ms"),
            Metric("lock_wait_p99_ms", "99th percentile, ms"),
        ),
        contestants=_contestants,
        promises=(
            Promise(
                "at least 5 x one job a transaction",
                "rqpy",
                "jobs_per_second",
                ("one-job-a-transaction",),
                least=5,
            ),
        ),
        neighbour="one-job-a-transaction",
        rounds=3,
        short_rounds=0,
        notes=(
            "All turns are in one boot of the lab. Where it is emulated, only the ratio says something.",
            "Both have 8 slots and the same store, locks and scripts of jobs (bench/nfs/onebyone.py).",
        ),
    ),
)
