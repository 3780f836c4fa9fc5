"""A queue whose every transition is recorded, on one machine, and what is collected and judged at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.oracle import audit, submit
from tests.oracle.checker import Expected, Violation, check
from tests.oracle.evidence import Evidence, collect

REPOSITORY = Path(__file__).resolve().parent.parent.parent
MUTANTS = Path(__file__).resolve().parent / "mutants"

#: The command rqpy, with the Python that runs the tests.
RQPY = (sys.executable, "-m", "rq_py")


def mutated(environment: Mapping[str, str], mutant: str) -> dict[str, str]:
    """``environment`` for processes of rq_py with that protection taken away; '' takes none away."""
    if not mutant:
        return dict(environment)
    return {**environment, "RQ_TEST_MUTANT": mutant, "PYTHONPATH": f"{MUTANTS}:{REPOSITORY}"}


class Scene:
    """One queue in ``folder``; ``environment`` is that of everything that is started."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *settings: str) -> None:
        self.queue = folder / "q"
        self.evidence = folder / "evidence"
        self.evidence.mkdir()
        self.environment = {"PYTHONPATH": str(REPOSITORY), **environment}
        self.rqpy("create", "login=never", "shell=sh", *settings)
        audit.install(self.queue)
        self._log = submit.Log(self.evidence / "submits.scene")

    def command(self, *words: str) -> list[str]:
        """The argv of ``rqpy`` on this queue."""
        return [*RQPY, str(self.queue), *words]

    def rqpy(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """Run ``rqpy`` on this queue to its good end; its stdout."""
        done = subprocess.run(
            self.command(*words),
            env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def job(self, seconds: float = 0.0, status: int = 0) -> str:
        """The command of a job that leaves evidence."""
        return f"sh {submit.JOB} {self.evidence} {seconds:.3f} {status}"

    def submit(
        self, commands: Sequence[str], *options: str, env: Mapping[str, str] | None = None
    ) -> submit.Answer:
        """Submit and write down what became of it."""
        environment = {**self.environment, **(env or {})}
        return submit.submit(self._log, RQPY, str(self.queue), commands, options, environment)

    def started(self) -> int:
        """How many attempts have written that they began."""
        return sum(path.read_text().count("start ") for path in self.evidence.glob("jobs.*"))

    def states(self) -> dict[int, tuple[str, int]]:
        """State and attempt of each job, asked of rqpy."""
        lines = self.rqpy("list", "all", "--output", "jsonl", "--fields", "jid,state,attempt").splitlines()
        rows = map(json.loads, lines)
        return {row["jid"]: (row["state"], row["attempt"]) for row in rows}

    def collected(self, rotations: Iterable[Path] = ()) -> Evidence:
        """Everything, now that all is over."""
        dumps = [audit.dump(path) for path in rotations]
        return collect(audit.dump(self.queue), self.evidence, dumps)

    def violations(self, expected: Expected | None = None) -> list[Violation]:
        """What the oracle says."""
        return check(self.collected(), expected)

    def holder(self) -> int | None:
        """The pid of the process that holds the queue lock and writes, None where nobody does."""
        record = (audit.current_database(self.queue).parent / "lock").read_text(errors="replace")
        values = dict(line.split(": ", 1) for line in record.splitlines() if ": " in line)
        return int(values["pid"]) if values.get("phase") == "writing" else None


def stop(pid: int) -> None:
    """SIGSTOP."""
    os.kill(pid, signal.SIGSTOP)


def go_on(pid: int) -> None:
    """SIGCONT."""
    os.kill(pid, signal.SIGCONT)
