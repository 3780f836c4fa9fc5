"""``rqpy stdout``, ``stderr`` and ``stdin``: the bytes of jobs, after real jobs have run."""

from __future__ import annotations

from pathlib import Path

import pytest

from rq_py import Queue
from tests.conftest import Rqpy


@pytest.fixture
def queue(queue_path: Path, rqpy: Rqpy) -> Queue:
    """Two jobs that have run, and one that has not."""
    queue = Queue.create(queue_path)
    queue.submit(r"cat; printf 'error\0\377' >&2", stdin=b"\0bytes\xff")
    queue.submit("printf second")
    queue.submit("never", stage=True)
    rqpy("feed", "--until-empty", queue=queue_path, check=True)
    return queue


def test_the_streams_of_jobs(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    assert rqpy("stdout", "2", queue=queue.path).stdout == "second"
    assert rqpy("1", "2", "2", queue=queue.path).stdout == "secondsecond"
    done = rqpy("stdout", "1", queue=queue.path)
    assert done.stdout.encode().startswith(b"\0bytes")
    assert rqpy("0", "1", queue=queue.path).stdout == done.stdout
    assert rqpy("stderr", "1", queue=queue.path).stdout.startswith("error\0")
    assert rqpy("stderr", "1", "--path", queue=queue.path).stdout == f"{queue.path}/stderr/1\n"

    missing = rqpy("stdout", "3", "2", "99", queue=queue.path)
    assert (missing.returncode, missing.stdout) == (1, "second")
    first, second = missing.stderr.splitlines()
    assert "job 3 is holding and has no stdout yet" in first
    assert "has no job 99" in second
    assert rqpy("stdin", "2", queue=queue.path).returncode == 1

    for word in ("pending", "x", "-1"):
        wrong = rqpy("stdout", "--", word, queue=queue.path)
        assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
    assert rqpy("stdout", queue=queue.path).returncode == 2
