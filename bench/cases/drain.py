"""How many `true` jobs a second are drained from a queue that is full, with two slots, by everybody."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from bench.case import Case, Contestant, Metric, Promise
from bench.lab import Lab
from bench.peers.everybody import KEEPERS
from bench.peers.peer import Peer


def _case(shell: str) -> Case:
    def contestants(lab: Lab, stack: ExitStack) -> list[Contestant]:
        del stack
        return [_contestant(lab, peer, shell) for peer in lab.peers]

    return Case(
        name=f"drain-{shell}",
        title=f"Drain 5,000 queued jobs `true`, 2 slots, {shell}",
        metrics=(Metric("jobs_per_second", "jobs/s", more_is_better=True),),
        contestants=contestants,
        promises=(
            Promise("at least 0.75 x xargs", "rqpy", "jobs_per_second", ("xargs",), least=0.75),
            Promise(
                "faster than every peer that keeps its queue", "rqpy", "jobs_per_second", KEEPERS, least=1
            ),
        ),
        neighbour="xargs",
        notes=(
            "Slow peers, and those with a process for each waiting job, drain fewer: 20 to 2,000.",
            "Where a worker has to be started first, that is part of its time, for rq_py as well.",
        ),
    )


def _contestant(lab: Lab, peer: Peer, shell: str) -> Contestant:
    jobs = lab.size(min(5000, peer.most_jobs), min(1000, peer.most_jobs))

    def measure() -> Mapping[str, float]:
        with lab.folder() as folder:
            return {"jobs_per_second": jobs / peer.drain(folder, shell, jobs)}

    return Contestant(peer.name, measure)


CASES = (_case("sh"), _case("bash"))
