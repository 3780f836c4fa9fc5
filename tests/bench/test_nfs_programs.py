"""The programs of the case ``nfs``, on a local disk: the worker with one job a transaction above all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue
from tests.architecture.sources import REPOSITORY

PROGRAMS = REPOSITORY / "bench" / "nfs"


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    """An empty queue."""
    return Queue.create(queue_path, settings={"shell": "sh", "login": "never"})


def start(
    environment: dict[str, str], program: str, *words: str | Path, node: str = ""
) -> subprocess.Popen[str]:
    """One of the programs, as a node of its own."""
    env = {**environment, "PYTHONPATH": str(REPOSITORY), "RQ_NODE": environment["RQ_NODE"] + node}
    argv = [sys.executable, str(PROGRAMS / program), *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, env=env, cwd="/", stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def output(process: subprocess.Popen[str], stdin: str = "") -> str:
    """What a program has printed; it must end well."""
    out, err = process.communicate(stdin, timeout=60)
    assert process.returncode == 0, err
    return out


def changes(queue: Queue) -> int:
    """How many transactions have changed the database (https://www.sqlite.org/fileformat.html)."""
    return int.from_bytes((queue.path / "db").resolve().read_bytes()[24:28], "big")


def test_workers_run_each_job_once_with_one_transaction_for_each(
    queue: Queue, environment: dict[str, str], tmp_path: Path
) -> None:
    jobs, workers = 24, 3
    queue.submit_many(JobSpec(f'echo "$RQ_JID" >>{tmp_path}/ran; echo out', cwd="/") for _ in range(jobs))
    before = changes(queue)
    waits = [tmp_path / f"waits.{number}" for number in range(workers)]
    for process in [
        start(environment, "onebyone.py", queue.path, path, node=f"-{number}")
        for number, path in enumerate(waits)
    ]:
        output(process)
    ran = (tmp_path / "ran").read_text().split()
    assert Counter(ran) == Counter(str(jid) for jid in range(1, jobs + 1))
    for job in queue.jobs():
        assert (job.state, job.exit_status, job.attempt) == ("finished", 0, 1)
        assert queue.stream(job.jid, "stdout").read_text() == "out\n"
    # One for each job's end, and each worker's first claim (which may have found nothing).
    assert jobs < changes(queue) - before <= jobs + workers
    assert sum(len(json.loads(path.read_text())) for path in waits) == jobs + workers


def test_a_worker_records_how_jobs_end(queue: Queue, environment: dict[str, str], tmp_path: Path) -> None:
    queue.submit_many(JobSpec(command, cwd="/") for command in ("exit 3", "kill -KILL $$"))
    output(start(environment, "onebyone.py", queue.path, tmp_path / "waits"))
    assert [(job.exit_status, job.signal) for job in queue.jobs("finished")] == [(3, None), (None, 9)]


def test_a_worker_that_is_told_to_end_finishes_its_job_and_claims_no_other(
    queue: Queue, environment: dict[str, str], tmp_path: Path
) -> None:
    queue.submit_many(JobSpec(command, cwd="/") for command in ("kill -TERM $PPID", "true"))
    output(start(environment, "onebyone.py", queue.path, tmp_path / "waits"))
    assert [job.state for job in queue.jobs()] == ["finished", "pending"]
    assert len(json.loads((tmp_path / "waits").read_text())) == 2


def test_a_feeder_that_is_watched_leaves_a_wait_for_each_transaction(
    queue: Queue, environment: dict[str, str], tmp_path: Path
) -> None:
    queue.submit_many(JobSpec("true", cwd="/") for _ in range(5))
    feed = ("feed", "--until-empty", "--allow-root")
    output(start(environment, "watched.py", tmp_path / "waits", queue.path, *feed))
    assert [job.state for job in queue.jobs()] == ["finished"] * 5
    waits = json.loads((tmp_path / "waits").read_text())
    assert len(waits) >= 2
    assert min(waits) >= 0


def test_what_is_counted_is_what_ended_within_its_nodes_time(
    queue: Queue, environment: dict[str, str], tmp_path: Path
) -> None:
    queue.submit_many(JobSpec("true", cwd="/") for _ in range(3))
    before = time.time()
    output(start(environment, "onebyone.py", queue.path, tmp_path / "waits"))
    after = time.time()
    queue.submit("false", cwd="/")
    output(start(environment, "onebyone.py", queue.path, tmp_path / "waits", node="-b"))
    queue.submit("true", cwd="/")
    node = environment["RQ_NODE"]

    def counted(begin: float, end: float) -> dict[str, object]:
        spans = json.dumps({node: [begin, end], f"{node}-b": [begin, end]})
        answer: dict[str, object] = json.loads(output(start(environment, "counting.py", queue.path), spans))
        assert float(str(answer.pop("elapsed"))) > 0
        return answer

    others = {"finished": 3, "pending": 1, "wrong": 1}
    assert counted(before, after) == {"jobs": {node: 3, f"{node}-b": 0}, **others}
    assert counted(after, after + 100) == {"jobs": {node: 0, f"{node}-b": 0}, **others}


def test_costs_are_measured_by_real_claims_and_finishes(queue: Queue, environment: dict[str, str]) -> None:
    queue.submit_many(JobSpec("true", cwd="/") for _ in range(101))
    costs = json.loads(output(start(environment, "costs.py", queue.path, "1")))
    transaction = {"fixed", "empty", "cpu_share", "claim", "begin", "finish", "submit"}
    assert costs.keys() == transaction | {"lock", "poll", "renewal", "look"}
    assert min(costs.values()) >= 0
    assert costs["fixed"] > 0
    states: Counter[str] = Counter(job.state for job in queue.jobs())
    assert states == {"finished": 101, "pending": 101}


def test_a_try_for_the_lock_is_timed_while_another_holds_it(
    queue: Queue, environment: dict[str, str]
) -> None:
    nobody = start(environment, "attempt.py", "try", queue.path)
    assert "nobody held the lock" in nobody.communicate(timeout=60)[1]
    assert nobody.returncode == 1
    holder = start(environment, "attempt.py", "hold", queue.path, node="-b")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "the lock is held\n"
    assert 0 < float(output(start(environment, "attempt.py", "try", queue.path))) < 60
    holder.send_signal(signal.SIGTERM)
    output(holder)
    assert queue.recent(1) == []  # it is free
