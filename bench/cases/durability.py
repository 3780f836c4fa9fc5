"""Who syncs: fsync and fdatasync calls for each job and each submit, counted by strace(1)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack

from bench.case import CannotRun, Case, Contestant, Metric
from bench.lab import Lab
from bench.leftovers import end_users_of
from bench.peers.peer import PATIENCE, Peer

CALLS = "fsync,fdatasync,sync_file_range,syncfs,sync,msync"


def _contestants(lab: Lab, stack: ExitStack) -> list[Contestant]:
    del stack
    return [_contestant(lab, peer) for peer in lab.peers if not peer.is_limit]


def _contestant(lab: Lab, peer: Peer) -> Contestant:
    few, many = (4, 12) if peer.most_jobs < 100 else (20, 120)

    def measure() -> Mapping[str, float]:
        # What start and end of a server need is in both counts, and not in their difference.
        drained = (_syncs(lab, peer, "drain", many) - _syncs(lab, peer, "drain", few)) / (many - few)
        figures = {"syncs_per_job": drained}
        if peer.can_submit:
            once, more = _syncs(lab, peer, "submit", 2), _syncs(lab, peer, "submit", 12)
            figures["syncs_per_submit"] = (more - once) / 10
        return figures

    return Contestant(peer.name, measure)


def _syncs(lab: Lab, peer: Peer, verb: str, count: int) -> int:
    """The calls of everything that is started for it, daemons included."""
    strace = shutil.which("strace")
    if strace is None:
        raise CannotRun("no program strace here")
    with lab.folder() as folder:
        trace, work = folder / "trace", folder / "work"
        work.mkdir()
        tracer = [strace, "-f", "-qq", "--seccomp-bpf", "-e", f"trace={CALLS}", "-e", "signal=none"]
        once = [sys.executable, "-m", "bench.once", peer.name, verb, f"{count}", f"{work}", f"{lab.cache}"]
        argv = [*tracer, "-o", str(trace), *once]
        try:
            subprocess.run(
                argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE, check=True
            )
        finally:
            end_users_of(f"{folder}/")
        text = trace.read_text(encoding="utf-8", errors="replace")
    return sum(1 for line in text.splitlines() if "resumed>" not in line and "(" in line)


CASES = (
    Case(
        name="durability",
        title="Who syncs: calls of fsync and its like, counted by strace",
        metrics=(
            Metric("syncs_per_job", "for each job, filled and drained at once", 2),
            Metric("syncs_per_submit", "for each single submit", 2),
        ),
        contestants=_contestants,
        rounds=1,
        short_rounds=0,
        notes=(
            "The difference between a longer and a shorter run, so start and end of servers do not count.",
        ),
    ),
)
