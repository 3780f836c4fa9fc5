"""Status and list of very many jobs: whole processes, warm, beside what SQLite needs for the same rows."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from bench.case import Case, Contestant, Promise
from bench.cases.wholeprocess import METRICS, figures
from bench.lab import RQPY, Lab
from bench.million import Bench
from bench.peers.ours import queue_in
from rq_py import JobSpec

#: What the neighbours do with the database of the first argument, and nothing else.
_COUNT = """
import sqlite3, sys
connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
connection.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall()
"""
_DUMP = """
import json, sqlite3, sys
connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
for row in connection.execute("SELECT * FROM jobs"):
    sys.stdout.write(json.dumps(row) + "\\n")
"""


def _filled(lab: Lab, stack: ExitStack, jobs: int) -> Path:
    """A queue with ``jobs`` jobs that have ended."""
    folder = stack.enter_context(lab.folder())
    queue = stack.enter_context(queue_in(folder))
    queue.submit_many(JobSpec(f"true {number}", cwd="/") for number in range(jobs))
    Bench(folder, jobs, files=False).end_jobs()
    return queue.path


def _status(lab: Lab, stack: ExitStack) -> list[Contestant]:
    meter = lab.meter(stack)
    path = _filled(lab, stack, lab.size(1_000_000, 100_000))
    count = [sys.executable, "-c", _COUNT, str(path / "db")]
    return [
        Contestant("rqpy", lambda: figures(meter, [*RQPY, str(path), "status"])),
        Contestant("sqlite-count", lambda: figures(meter, count)),
    ]


def _list(lab: Lab, stack: ExitStack) -> list[Contestant]:
    meter = lab.meter(stack)
    large = _filled(lab, stack, lab.size(100_000))
    small = _filled(lab, stack, lab.size(1_000))
    dump = [sys.executable, "-c", _DUMP, str(large / "db")]
    yaml, lines = ["list"], ["list", "--output", "jsonl"]
    return [
        Contestant("rqpy-yaml", lambda: figures(meter, [*RQPY, str(large), *yaml])),
        Contestant("rqpy-jsonl", lambda: figures(meter, [*RQPY, str(large), *lines])),
        Contestant("sqlite-json", lambda: figures(meter, dump)),
        Contestant("rqpy-yaml-1,000", lambda: figures(meter, [*RQPY, str(small), *yaml])),
        Contestant("rqpy-jsonl-1,000", lambda: figures(meter, [*RQPY, str(small), *lines])),
    ]


CASES = (
    Case(
        name="status-many",
        title="`rqpy status` of 1,000,000 jobs (short: 100,000), warm: a whole process",
        metrics=METRICS,
        contestants=_status,
        promises=(Promise("less than 100 ms", "rqpy", "ms", most=100),),
        neighbour="sqlite-count",
        rounds=9,
        notes=("The neighbour only counts the jobs of each state.",),
    ),
    Case(
        name="list-many",
        title="`rqpy list` of 100,000 jobs that have ended: a whole process",
        metrics=METRICS,
        contestants=_list,
        promises=(
            Promise("YAML: less than 2 s", "rqpy-yaml", "ms", most=2000),
            Promise("JSON lines: less than 1 s", "rqpy-jsonl", "ms", most=1000),
            Promise(
                "YAML: at most 1.2 x the memory of 1,000 jobs",
                "rqpy-yaml",
                "peak_mb",
                ("rqpy-yaml-1,000",),
                most=1.2,
            ),
            Promise(
                "JSON lines: at most 1.2 x the memory of 1,000 jobs",
                "rqpy-jsonl",
                "peak_mb",
                ("rqpy-jsonl-1,000",),
                most=1.2,
            ),
        ),
        neighbour="sqlite-json",
        short_rounds=1,
        notes=("The neighbour reads the rows and writes each through json.dumps.",),
    ),
)
