"""``rqpy wait`` and ``submit --wait``: they end when the jobs have, and as the jobs have."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from rq_py import Queue, State
from rq_py.errors import WaitTimeout
from tests.conftest import Rqpy, command_line
from tests.waiting import wait_until


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    return Queue.create(queue_path)


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """A fifo at which jobs wait that read it."""
    os.mkfifo(tmp_path / "go")
    return tmp_path / "go"


def feed(rqpy: Rqpy, queue: Queue) -> None:
    """Run all jobs to their end."""
    rqpy("feed", "--until-empty", queue=queue.path, check=True)


def test_it_waits_until_the_last_job_has_ended_and_prints_each(rqpy: Rqpy, queue: Queue, go: Path) -> None:
    queue.submit(f"read -r word <{go}", cwd="/")
    queue.submit("true", cwd="/")
    rqpy("start", "--until-empty", "--quiet", queue=queue.path, check=True)
    with subprocess.Popen(
        command_line(queue.path, "wait", "1", "2", "--output", "jsonl", "--fields", "jid,state"),
        env=rqpy.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stdout
        assert waiting.stdout.readline() == '{"jid": 2, "state": "finished"}\n'
        assert waiting.poll() is None, "it must wait for the other"
        go.write_text("on\n")
        assert waiting.stdout.read() == '{"jid": 1, "state": "finished"}\n'
        assert waiting.wait(30) == 0


@pytest.mark.parametrize(
    ("command", "status"), [("true", 0), ("exit 7", 7), ("kill -KILL $$", 128 + signal.SIGKILL)]
)
def test_it_ends_as_the_job_has(rqpy: Rqpy, queue: Queue, command: str, status: int) -> None:
    queue.submit(command, cwd="/")
    feed(rqpy, queue)
    done = rqpy("wait", "1", queue=queue.path)
    assert done.returncode == status
    assert [job["jid"] for job in yaml.safe_load(done.stdout)] == [1]


def test_a_job_that_a_limit_has_ended_has_failed_whatever_it_says(rqpy: Rqpy, queue: Queue) -> None:
    queue.submit("trap 'exit 0' TERM; sleep 60 & wait", cwd="/", timeout=0.2)
    feed(rqpy, queue)
    assert queue.job(1).exit_status == 0
    assert rqpy("wait", "1", queue=queue.path).returncode == 1


def test_of_several_jobs_the_first_that_failed_says_how_it_ends(rqpy: Rqpy, queue: Queue) -> None:
    for command in ("true", "exit 5", "exit 3"):
        queue.submit(command, cwd="/")
    feed(rqpy, queue)
    listing = rqpy("list", queue=queue.path).stdout
    assert rqpy("wait", "-", "--quiet", queue=queue.path, stdin=listing).returncode == 5
    assert rqpy("wait", "1", "3", queue=queue.path).returncode == 3
    assert rqpy("wait", "finished", queue=queue.path).returncode == 5
    done = rqpy("wait", queue=queue.path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "--- []\n", ""), "all have ended before"


def test_a_job_that_does_not_exist_or_is_deleted_meanwhile_is_told(rqpy: Rqpy, queue: Queue) -> None:
    done = rqpy("wait", "4", queue=queue.path)
    assert (done.returncode, done.stderr) == (1, f"rqpy: {queue.path}: has no job 4\n")
    queue.submit("true", cwd="/", stage=True)
    wait = queue.wait(1)
    queue.delete(1)
    assert list(wait.ended()) == []
    assert wait.missing == [1]


def test_a_timeout_ends_it_with_124(rqpy: Rqpy, queue: Queue) -> None:
    queue.submit("true", cwd="/", stage=True)
    done = rqpy("wait", "--timeout", "0.2", queue=queue.path)
    assert done.returncode == 124
    assert "1 of 1 jobs have not ended within 0.2 s: job 1 is one of them" in done.stderr
    queue.submit("true", cwd="/")
    feed(rqpy, queue)
    done = rqpy("wait", "1", "2", "--timeout", "0.2", "-o", "json", "--fields", "jid", queue=queue.path)
    assert (done.returncode, done.stdout) == (124, '[\n{"jid": 2}\n]\n'), "what has ended is whole"
    with pytest.raises(WaitTimeout, match="job 1"):
        list(queue.wait().ended(timeout=0))


def test_submit_can_wait_for_its_jobs(rqpy: Rqpy, queue: Queue) -> None:
    rqpy("start", "--quiet", queue=queue.path, check=True)
    try:
        done = rqpy("submit", "--wait", "echo hello; exit 6", queue=queue.path)
        assert done.returncode == 6
        (job,) = yaml.safe_load(done.stdout)
        assert (job["state"], job["exit_status"]) == ("finished", 6)
        lines = rqpy("submit", "--wait", "--quiet", "-", queue=queue.path, stdin="true\ntrue\n")
        assert (lines.returncode, lines.stdout) == (0, "")
    finally:
        rqpy("shutdown", "--wait", "30", queue=queue.path)


def test_who_gives_up_waiting_leaves_the_jobs_alone(rqpy: Rqpy, queue: Queue) -> None:
    with subprocess.Popen(
        command_line(queue.path, "submit", "--wait", "true"), env=rqpy.environment, stderr=subprocess.PIPE
    ) as waiting:
        wait_until(lambda: any(queue.jobs()), 30)
        # It may not have come as far as to wait: then the signal ends it all the same.
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(30) == 128 + signal.SIGINT
    assert queue.job(1).state is State.PENDING
