"""Submit very many jobs at once, as lines and as YAML, beside the same rows inserted by plain SQLite."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from bench import plaininsert
from bench.case import CannotRun, Case, Contestant, Metric, Promise
from bench.lab import RQPY, Lab
from bench.metering import Ended
from bench.peers.ours import queue_in

METRICS = (
    Metric("jobs_per_second", "jobs/s", 0, more_is_better=True),
    Metric("seconds", "seconds", 2),
    Metric("peak_mb", "peak MB"),
)
SQLITE = "sqlite-executemany"


def _figures(jobs: int, ended: Ended) -> dict[str, float]:
    return {"jobs_per_second": jobs / ended.seconds, "seconds": ended.seconds, "peak_mb": ended.peak / 1e6}


def _contestants(lab: Lab, stack: ExitStack, jobs: int, yaml_jobs: int) -> list[Contestant]:
    meter, inputs = lab.meter(stack), stack.enter_context(lab.folder())
    lines, documents = inputs / "lines", inputs / "documents"
    with lines.open("w", encoding="ascii") as file:
        file.writelines(f"true {number}\n" for number in range(1, jobs + 1))
    with documents.open("w", encoding="ascii") as file:
        file.write("---\n")
        file.writelines(f"-\n  priority: 1\n  tag: a\n  command: true {n}\n" for n in range(1, yaml_jobs + 1))

    def submit(source: Path, count: int) -> Mapping[str, float]:
        with lab.folder() as folder, queue_in(folder) as queue:
            argv = [*RQPY, str(queue.path), "submit", "--quiet", "--cwd", "/", "-"]
            ended = meter.run(argv, source=str(source))
            if [job.jid for job in queue.recent(1)] != [count]:
                raise CannotRun("not all jobs were submitted")
        return _figures(count, ended)

    def insert() -> Mapping[str, float]:
        with lab.folder() as folder, queue_in(folder) as queue:
            copy = folder / "plain.db"
            shutil.copyfile(queue.path / "db", copy)
            return _figures(jobs, meter.run([sys.executable, plaininsert.__file__, str(copy), str(jobs)]))

    contestants = [Contestant("rqpy-lines", lambda: submit(lines, jobs)), Contestant(SQLITE, insert)]
    if yaml_jobs:
        contestants.append(Contestant("rqpy-yaml", lambda: submit(documents, yaml_jobs)))
    return contestants


def _hundred_thousand(lab: Lab, stack: ExitStack) -> list[Contestant]:
    return _contestants(lab, stack, lab.size(100_000), lab.size(50_000, 20_000))


def _million(lab: Lab, stack: ExitStack) -> list[Contestant]:
    return _contestants(lab, stack, lab.size(1_000_000), 0)


CASES = (
    Case(
        name="bulk",
        title="Submit 100,000 jobs from stdin, as lines, and 50,000 as YAML: a whole process",
        metrics=METRICS,
        contestants=_hundred_thousand,
        promises=(
            Promise("lines: at least 100,000 jobs/s", "rqpy-lines", "jobs_per_second", least=100_000),
            Promise("YAML: at least 15,000 jobs/s", "rqpy-yaml", "jobs_per_second", least=15_000),
        ),
        neighbour=SQLITE,
        short_rounds=2,
        notes=("The neighbour is one executemany of the same rows into the same table with its indexes.",),
    ),
    Case(
        name="bulk-million",
        title="Submit 1,000,000 jobs from stdin, as lines: a whole process",
        metrics=METRICS,
        contestants=_million,
        promises=(
            Promise("less than 10 s", "rqpy-lines", "seconds", most=10),
            Promise("peak memory below 100 MB", "rqpy-lines", "peak_mb", most=100),
        ),
        neighbour=SQLITE,
        rounds=3,
        short_rounds=0,
    ),
)
