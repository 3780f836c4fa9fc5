"""A submitter that writes down, outside of the queue, what it was told about each submit. Only stdlib.

    python submit.py --log FILE --queue QUEUE --jobs N [--batch B] --evidence FOLDER [-- RQPY...]

Each call of ``rqpy submit`` has a tag that was never used before, and two durable lines of JSON in FILE: one
before it (``trying``), one after it (``acknowledged``, ``failed`` or ``unknown``). A submitter that is killed
leaves a ``trying`` without an answer: unknown. The jobs run job.sh, which lies beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

#: What rqpy says when it does not know; any other failure means that nothing was submitted.
UNKNOWN = "may have been submitted or not"
#: What it says when all is well but for the printing.
SUBMITTED = "were submitted, but cannot be printed"

JOB = Path(__file__).with_name("job.sh")


class Log:
    """The file of durable lines."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._where = {
            "node": os.environ.get("RQ_NODE") or os.uname().nodename,
            "boot": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        }

    def write(self, **values: object) -> None:
        """Append a line and wait until it is on stable storage."""
        line = {**values, **self._where, "boottime": time.clock_gettime(time.CLOCK_BOOTTIME)}
        os.write(self._descriptor, f"\n{json.dumps(line)}\n".encode())
        os.fsync(self._descriptor)


class Answer(NamedTuple):
    """What a submitter was told: the outcome, the jids, the last words on stderr."""

    outcome: str
    jids: list[int]
    said: str


def outcome_of(status: int, stderr: str) -> str:
    """What the exit status and the message of ``rqpy submit`` promise."""
    if status == 0 or SUBMITTED in stderr:
        return "acknowledged"
    if status < 0 or status > 128 or UNKNOWN in stderr or "Traceback" in stderr:
        return "unknown"
    return "failed"


def submit(
    log: Log,
    rqpy: Sequence[str],
    queue: str,
    commands: Sequence[str],
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Answer:
    """Submit ``commands`` as one submit; returns what is in the log as well."""
    tag = uuid.uuid4().hex
    log.write(outcome="trying", jids=[], count=len(commands), tag=tag)
    done = subprocess.run(
        [*rqpy, queue, "submit", "--output", "jsonl", "--fields", "jid", "--tag", tag, *options, "-"],
        input="\n".join(commands) + "\n",
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    outcome = outcome_of(done.returncode, done.stderr)
    jids = [json.loads(line)["jid"] for line in done.stdout.splitlines()] if done.returncode == 0 else []
    said = done.stderr.strip()[-300:]
    log.write(outcome=outcome, jids=jids, count=len(commands), tag=tag, status=done.returncode, said=said)
    return Answer(outcome, jids, said)


def commands_of(chance: random.Random, count: int, evidence: str, seconds: float) -> list[str]:
    """Commands of jobs that last up to ``seconds`` (most of them much less) and end with 0 to 3."""
    program = f"sh {shlex.quote(str(JOB))} {shlex.quote(evidence)}"
    return [
        f"{program} {seconds * chance.random() ** 3:.3f} {chance.choice([0, 0, 0, 1, 2, 3])}"
        for _ in range(count)
    ]


def main(arguments: Sequence[str]) -> int:
    """Submit what the command line says."""
    parser = argparse.ArgumentParser(description="Submit jobs and write down what became of each submit.")
    parser.add_argument(
        "--log", type=Path, required=True, help="the file of durable lines, local to the node"
    )
    parser.add_argument("--queue", required=True)
    parser.add_argument(
        "--evidence", required=True, metavar="FOLDER", help="where the jobs write, local to theirs"
    )
    parser.add_argument("--jobs", type=int, required=True, help="how many, in all")
    parser.add_argument("--batch", type=int, default=10, help="at most so many in one submit")
    parser.add_argument("--seconds", type=float, default=1.0, help="the longest job")
    parser.add_argument(
        "--restartable", type=float, default=0.5, help="the part of submits with restartable jobs"
    )
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two submits")
    parser.add_argument("--seed", default="0")
    parser.add_argument("rqpy", nargs="*", help="the command rqpy, behind --")
    options = parser.parse_args(arguments)
    rqpy = options.rqpy or [sys.executable, "-m", "rq_py"]
    chance = random.Random(options.seed)
    log = Log(options.log)
    left, unknown = options.jobs, 0
    while left > 0:
        count = min(left, chance.randint(1, options.batch))
        left -= count
        words = [f"--priority={chance.randint(0, 3)}"]
        if chance.random() < options.restartable:
            words.append("--restartable")
        commands = commands_of(chance, count, options.evidence, options.seconds)
        unknown += submit(log, rqpy, options.queue, commands, words).outcome != "acknowledged"
        time.sleep(options.pause)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
