"""``rqpy list``: selectors, fields and formats; a reader that stops, or never reads, disturbs nobody."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from rq_py import JobSpec, Queue
from rq_py.cli.selectors import selector
from rq_py.errors import UsageError
from tests.conftest import Rqpy, command_line


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    """Two pending jobs and one that is held."""
    queue = Queue.create(queue_path)
    queue.submit_many([JobSpec("one", tag="x"), JobSpec("two"), JobSpec("three", stage=True)])
    return queue


@pytest.mark.parametrize(
    ("selectors", "jids"),
    [
        ([], [1, 2, 3]),
        (["all"], [1, 2, 3]),
        (["a"], [1, 2, 3]),
        (["pending"], [1, 2]),
        (["p"], [1, 2]),
        (["pend", "h"], [1, 2, 3]),
        (["3", "1", "3"], [1, 3]),
        (["h", "1"], [1, 3]),
        (["all", "2"], [1, 2, 3]),
    ],
)
def test_selectors(rqpy: Rqpy, queue: Queue, selectors: list[str], jids: list[int]) -> None:
    done = rqpy("list", *selectors, "--fields", "jid", queue=queue.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [job["jid"] for job in yaml.safe_load(done.stdout)] == jids


@pytest.mark.parametrize(
    ("selectors", "jids", "message"),
    [
        (["running"], [], "rqpy: no running job in {q}\n"),
        (["7"], [], "rqpy: no job 7 in {q}\n"),
        (
            ["1", "9", "8", "f"],
            [1],
            "rqpy: no job 8 in {q}\nrqpy: no job 9 in {q}\nrqpy: no finished job in {q}\n",
        ),
    ],
)
def test_a_selector_without_a_job(
    rqpy: Rqpy, queue: Queue, selectors: list[str], jids: list[int], message: str
) -> None:
    done = rqpy("list", *selectors, queue=queue.path)
    assert done.returncode == 1
    assert done.stderr == message.replace("{q}", str(queue.path))
    assert [job["jid"] for job in yaml.safe_load(done.stdout)] == jids


def test_an_empty_queue_is_an_empty_list(rqpy: Rqpy, queue_path: Path) -> None:
    Queue.create(queue_path)
    done = rqpy("list", queue=queue_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "--- []\n", "")


@pytest.mark.parametrize("word", ["x", "", "-1", "0", "1.5", "pendingg", "9223372036854775808", "٣", "1,2"])
def test_what_is_no_selector(word: str) -> None:
    with pytest.raises(UsageError):
        selector(word)


def test_formats(rqpy: Rqpy, queue: Queue) -> None:
    def printed(output: str) -> str:
        return rqpy(
            "list", "p", "-o", output, "-f", "jid,tag", "-f", "command", queue=queue.path, check=True
        ).stdout

    values = [{"jid": 1, "tag": "x", "command": "one"}, {"jid": 2, "tag": None, "command": "two"}]
    assert yaml.safe_load(printed("yaml")) == values
    assert json.loads(printed("json")) == values
    assert [json.loads(line) for line in printed("jsonl").splitlines()] == values
    assert printed("table") == "jid  tag  command\n  1  x    one\n  2       two\n"


def test_utf_8_is_written_whatever_the_locale_says(rqpy: Rqpy, queue: Queue) -> None:
    queue.submit("echo 日本")
    environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = rqpy("list", "4", queue=queue.path, env=environment, check=True)
    assert "command: echo 日本\n" in done.stdout


def test_a_reader_that_stops_ends_it_quietly(queue: Queue, environment: dict[str, str]) -> None:
    queue.submit_many(JobSpec(f"job {number}") for number in range(5000))
    with subprocess.Popen(
        command_line(queue.path, "list"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"---\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 0


def test_a_reader_that_never_reads_delays_no_writer(
    queue: Queue, environment: dict[str, str], rqpy: Rqpy
) -> None:
    queue.submit_many(JobSpec(f"job {number}") for number in range(5000))
    with subprocess.Popen(
        command_line(queue.path, "list"), stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)  # it prints, and now the pipe fills
        rqpy("submit", "--timeout=5", "quick", queue=queue.path, check=True)
        assert process.poll() is None
        process.kill()
