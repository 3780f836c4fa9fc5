"""``stdin4``, ``stdout4``, ``stderr4`` and the streams of many jobs, named on stdin as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.job import JobSpec
from tests.conftest import Rqpy


@pytest.fixture
def queue(queue_path: Path, rqpy: Rqpy) -> Queue:
    """Two jobs that have run, and one that has not."""
    queue = Queue.create(queue_path)
    queue.submit("cat", stdin=b"first")
    queue.submit("printf second; printf oops >&2")
    queue.submit("never", stage=True)
    rqpy("feed", "--until-empty", queue=queue_path, check=True)
    return queue


def test_the_paths_of_streams(rqpy: Rqpy, queue: Queue) -> None:
    path = queue.path
    assert rqpy("stdout4", "1", "3", queue=path, check=True).stdout == f"{path}/stdout/1\n{path}/stdout/3\n"
    assert rqpy("stderr4", "2", queue=path, check=True).stdout == f"{path}/stderr/2\n"
    done = rqpy("stdin4", "1", "2", queue=path)
    assert (done.returncode, done.stdout) == (1, f"{path}/stdin/1\n")
    assert done.stderr == f"rqpy: {path}/stdin/2: job 2 is finished and has no stdin\n"
    absent = rqpy("stdout4", "9", queue=path)
    assert (absent.returncode, absent.stdout, absent.stderr) == (1, "", f"rqpy: {path}: has no job 9\n")


def test_a_queue_named_relatively_has_absolute_paths(rqpy: Rqpy, queue: Queue) -> None:
    assert rqpy("q", "stdout4", "1", check=True).stdout == f"{queue.path}/stdout/1\n"


def test_jobs_are_named_on_stdin(rqpy: Rqpy, queue: Queue) -> None:
    listing = rqpy("list", "finished", queue=queue.path, check=True).stdout
    assert rqpy("stdout", "-", queue=queue.path, stdin=listing, check=True).stdout == "firstsecond"
    assert rqpy("stdout", queue=queue.path, stdin=listing, check=True).stdout == "firstsecond"
    assert rqpy("stdout", "2", "-", queue=queue.path, stdin="1\n", check=True).stdout == "secondfirst"
    assert rqpy("stderr4", queue=queue.path, stdin="2\n", check=True).stdout == f"{queue.path}/stderr/2\n"
    assert rqpy("stdout", "-", queue=queue.path, stdin="--- []\n", check=True).stdout == ""
    for wrong in ("pending\n", "---\n- command: x\n"):
        done = rqpy("stdout", "-", queue=queue.path, stdin=wrong)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), wrong


def test_very_many_jobs_are_looked_up_together(rqpy: Rqpy, queue_path: Path) -> None:
    queue = Queue.create(queue_path)
    queue.submit_many(JobSpec(f"echo {number}", cwd="/") for number in range(2500))
    jids = "".join(f"{jid}\n" for jid in range(1, 2502))
    done = rqpy("stdout4", "-", queue=queue_path, stdin=jids, env={"RQ_SQL_DEBUG": "1"})
    assert done.returncode == 1
    assert done.stdout.count("\n") == 2500
    assert f"rqpy: {queue_path}: has no job 2501\n" in done.stderr
    assert done.stderr.count("sql: BEGIN\n") <= 3


def test_a_closed_pipe_ends_quietly(rqpy: Rqpy, queue: Queue) -> None:
    import subprocess

    from tests.conftest import command_line

    many = "2\n" * 50_000
    words = " ".join(map(str, command_line(queue.path, "stdout", "-")))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words} | head -c 6"],
        input=many.encode(),
        env=rqpy.environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"second", b"")
