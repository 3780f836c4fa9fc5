"""How fast a feeder drains a queue of `true` jobs with two slots, beside xargs -P2 with output to files.

    python bench/drain.py [JOBS [ROUNDS]]

Each round is queue and xargs in turn, with sh and with bash; the medians count, because a shared machine
drifts. The feeder's own start and end are part of its time, the submit is not.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rq_py import JobSpec, Queue

SLOTS = 2


def rqpy_rate(folder: Path, shell: str, jobs: int) -> float:
    """Return the jobs per second of one feeder, from its start to its end."""
    queue = Queue.create(folder / "q", settings={"shell": shell, "login": "never"})
    queue.submit_many(JobSpec("true", cwd="/") for _ in range(jobs))
    command = [sys.executable, "-m", "rq_py", str(queue.path), "feed", "--max-feed", str(SLOTS)]
    begin = time.perf_counter()
    subprocess.run([*command, "--until-empty", "-v", "warn", "--allow-root"], check=True)
    seconds = time.perf_counter() - begin
    shutil.rmtree(queue.local_state, ignore_errors=True)
    counts = queue.status()["exit_status"]
    if counts != {"successes": jobs, "failures": 0}:
        sys.exit(f"not all jobs ran: {counts}")
    return jobs / seconds


def xargs_rate(folder: Path, shell: str, jobs: int) -> float:
    """Return the jobs per second of xargs, each job a shell whose output goes to files of its own."""
    script = f"true >{folder}/out.$0 2>{folder}/err.$0"
    numbers = "".join(f"{number}\n" for number in range(jobs))
    begin = time.perf_counter()
    subprocess.run(["xargs", "-n1", f"-P{SLOTS}", shell, "-c", script], input=numbers, text=True, check=True)
    return jobs / (time.perf_counter() - begin)


def main() -> None:
    """Measure and print."""
    given = [int(word) for word in sys.argv[1:3]]
    jobs, rounds = (*given, *(2000, 5)[len(given) :])
    os.environ["RQ_NODE"] = f"bench-{os.getpid()}"
    for shell in ("sh", "bash"):
        ours, theirs = [], []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="rqpy-bench-") as name:
                ours.append(rqpy_rate(Path(name), shell, jobs))
                theirs.append(xargs_rate(Path(name), shell, jobs))
        rate, limit = statistics.median(ours), statistics.median(theirs)
        line = f"{shell:5} rqpy {rate:6.0f} jobs/s   xargs {limit:6.0f} jobs/s   ratio {rate / limit:.2f}"
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
