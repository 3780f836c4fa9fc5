"""The place of the NFS lab in the report: it needs two virtual machines and is measured there."""

from __future__ import annotations

from contextlib import ExitStack

from bench.case import CannotRun, Case, Contestant, Metric, Promise, absent
from bench.lab import Lab

_REASON = CannotRun("needs the NFS lab with two clients: bin/nfs-lab")


def _contestants(lab: Lab, stack: ExitStack) -> list[Contestant]:
    del lab, stack
    return [absent("rqpy", _REASON), absent("one-job-a-transaction", _REASON)]


CASES = (
    Case(
        name="nfs",
        title="NFS lab, v4.2, 2 clients with 2 feeders each, short jobs",
        metrics=(Metric("jobs_per_second", "jobs/s", more_is_better=True),),
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
        rounds=1,
        short_rounds=0,
    ),
)
