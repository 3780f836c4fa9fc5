"""``RQ_OPTS`` and ``RQ_OPTIONS``: options that always apply, and the command line wins over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rq_py import Queue
from tests.conftest import Rqpy


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    return Queue.create(queue_path)


def test_rqs_example_marks_what_a_user_submits(rqpy: Rqpy, queue: Queue) -> None:
    env = {"RQ_OPTS": "--tag=username --priority=-42 --restartable"}
    rqpy("submit", "my_job", queue=queue.path, env=env, check=True)
    job = queue.job(1)
    assert (job.tag, job.priority, job.restartable) == ("username", -42, True)
    assert rqpy("status", queue=queue.path, env=env).returncode == 0, "a mode without these options"
    assert rqpy("list", "1", queue=queue.path, env=env).returncode == 0


@pytest.mark.parametrize("line", [["-t", "mine", "-p9"], ["--tag=mine", "--priority", "9"]])
def test_the_command_line_wins(rqpy: Rqpy, queue: Queue, line: list[str]) -> None:
    env = {"RQ_OPTIONS": "--tag 'a b' --priority=-42 --fields jid"}
    done = rqpy(*line, str(queue.path), "submit", "x", "--fields=tag", env=env)
    assert (done.returncode, done.stdout) == (0, "---\n-\n  tag: mine\n"), "--fields adds up otherwise"
    assert queue.job(1).priority == 9
    done = rqpy("submit", "--", "x", "--tag", "y", queue=queue.path, env=env, check=True)
    assert (queue.job(2).command, queue.job(2).tag) == ("x --tag y", "a b")


def test_the_first_variable_that_is_set_counts(rqpy: Rqpy, queue: Queue) -> None:
    env = {"RQ_OPTS": "--tag=first", "RQ_OPTIONS": "--tag=second"}
    rqpy("submit", "-q", "x", queue=queue.path, env=env, check=True)
    rqpy("submit", "-q", "x", queue=queue.path, env={**env, "RQ_OPTS": ""}, check=True)
    assert [job.tag for job in queue.jobs()] == ["first", "second"]


def test_the_queue_may_stand_there(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    env = {"RQ_OPTS": f"--queue={queue.path}"}
    assert rqpy("submit", "x", env=env).returncode == 0
    assert rqpy("list", queue=tmp_path / "other", env=env).returncode == 1, "the first argument wins"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--nonsense", "RQ_OPTS: '--nonsense': is no option of any mode"),
        ("finished", "RQ_OPTS: 'finished': is no option of any mode"),
        ("--tag", "RQ_OPTS: '--tag': needs a value"),
        ("--tag 'x", 'RQ_OPTS: "--tag \'x": No closing quotation'),
    ],
)
def test_what_is_no_option_is_refused(rqpy: Rqpy, queue: Queue, text: str, message: str) -> None:
    done = rqpy("list", queue=queue.path, env={"RQ_OPTS": text})
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"rqpy: {message}\n")
