"""The lab's run for the case ``nfs``: starts it, reads its report, and hands out figures turn by turn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.case import CannotRun

REPOSITORY = Path(__file__).resolve().parents[2]

#: What ``bin/simulate --measure`` has written about this machine.
HERE = REPOSITORY / "bench" / "simulation" / "costs" / "local.yml"

#: The name of a figure in a turn of the report, that of the metric, and how much larger this one is.
_METRICS = (
    ("jobs_per_second", "jobs_per_second", 1),
    ("jobs_per_transaction", "jobs_per_transaction", 1),
    ("lock_wait_median_seconds", "lock_wait_median_ms", 1000),
    ("lock_wait_p99_seconds", "lock_wait_p99_ms", 1000),
)
#: The lab's exit status where it cannot run.
_UNAVAILABLE = 3


class LabRun:
    """One boot of the lab with all turns of both; it happens when the first figure is asked for."""

    def __init__(self, argv: Sequence[str], costs: Path) -> None:
        """``argv`` runs the scenario, ``costs`` is the file into which the costs of transactions go."""
        self._argv = argv
        self._costs = costs
        self._turns: list[dict[str, Any]] | None = None
        self._failure: CannotRun | None = None

    def next(self, contestant: str) -> dict[str, float]:
        """The figures of this contestant's next turn. Raises CannotRun where the lab failed, for all."""
        if self._failure is not None:
            raise self._failure
        if self._turns is None:
            try:
                report = run_lab(self._argv)
            except CannotRun as failure:
                self._failure = failure
                raise
            save_costs(report, self._costs)
            self._turns = list(report["figures"]["turns"])
        turn = next(turn for turn in self._turns if turn["contestant"] == contestant)
        self._turns.remove(turn)
        return {metric: turn[name] * factor for name, metric, factor in _METRICS}


def command(rounds: int, seconds: int) -> list[str]:
    """What runs the scenario ``throughput``: everybody has ``rounds`` turns of ``seconds``."""
    argv = [sys.executable, "-m", "tests.nfs.lab", "run", "throughput", "--nfs", "4.2"]
    return [*argv, "--set", f"rounds={rounds}", "--set", f"seconds={seconds}"]


def run_lab(argv: Sequence[str]) -> dict[str, Any]:
    """The report of a run of the lab. Raises CannotRun with the reason.

    What it says meanwhile goes to stderr: it takes a quarter of an hour, and waits while another one runs.
    """
    with subprocess.Popen(
        argv,
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = ""
        try:
            for said in process.stderr or ():
                sys.stderr.write(said)
            # It is shorter than a pipe, and came at the end.
            report = process.stdout.read() if process.stdout else ""
        except BaseException:
            process.terminate()  # it switches its machines off
            raise
    if process.returncode == _UNAVAILABLE:
        raise CannotRun(said.strip())
    return parse(report)


def parse(report: str) -> dict[str, Any]:
    """The lab's report of one run. Raises CannotRun where it has failed, or says nothing."""
    result = yaml.safe_load(report)
    if not isinstance(result, dict):
        raise CannotRun("the lab ended without a report: see what it said")
    if result["result"] != "passed":
        raise CannotRun(f"the lab failed: {result['failure']}: see {result['folder']}")
    return result


def save_costs(report: Mapping[str, Any], path: Path, here: Path = HERE) -> None:
    """Write what transactions cost in this run into a file for ``bin/simulate --costs``, and say where.

    What has nothing to do with NFS, the work of feeder, runner and shell, is taken from the costs of this
    machine, ``here``, where these were measured.
    """
    costs = dict(yaml.safe_load(here.read_text(encoding="utf-8"))["costs"]) if here.exists() else {}
    machine = {"place": f"NFS lab, v{report['nfs']}", "accelerator": report["figures"]["accelerator"]}
    document = {"machine": machine, "is_shared": True, "costs": costs | report["figures"]["costs"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "# Written by bin/bench nfs; seconds\n" + yaml.safe_dump(document, sort_keys=False), "utf-8"
    )
    sys.stderr.write(f"what transactions cost there: {path}\n")
