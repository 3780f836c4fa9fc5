"""Unique jobs through the command line, with several feeders, which are killed, and several submitters."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import yaml

from rq_py import Queue, State
from tests.conftest import Rqpy, command_line
from tests.feeder.conftest import Feed, Gate, becomes
from tests.waiting import wait_until


def test_a_submit_prints_the_job_that_is_there(queue: Queue, feed: Feed, gate: Gate, rqpy: Rqpy) -> None:
    submit = ("submit", "--key=nightly", "--fields=jid,state,key,command")
    first = rqpy(*submit, gate.command, queue=queue.path, check=True)
    assert rqpy(*submit, "--stdin=-", "other", queue=queue.path, stdin="x", check=True).stdout == first.stdout
    feed()
    becomes(queue, 1, State.RUNNING)
    done = rqpy(*submit, "true", queue=queue.path, check=True)
    assert yaml.safe_load(done.stdout)[0]["state"] == "running"
    with subprocess.Popen(
        command_line(queue.path, "submit", "--wait", "--key=nightly", "--verbosity=info", "false"),
        env=rqpy.environment, cwd=rqpy.cwd, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as waiting:  # fmt: skip
        assert waiting.stderr is not None
        assert b"1 jobs were there already, by their keys" in waiting.stderr.readline()
        gate.open(1)
        told = yaml.safe_load(waiting.communicate(timeout=60)[0])
    assert (waiting.returncode, told[0]["jid"]) == (0, 1), "it has waited for the one that was there"
    assert rqpy("submit", "--wait", "--key=nightly", "exit 4", queue=queue.path).returncode == 4
    done = rqpy("resubmit", "finished", queue=queue.path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "jobs 1 and 2 both have the key 'nightly'" in done.stderr
    done = rqpy("submit", "--key=nightly", queue=queue.path, stdin="a\nb\n")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "several jobs cannot have one --key" in done.stderr
    assert len(list(queue.jobs())) == 2


def test_a_listing_is_read_again(queue: Queue, rqpy: Rqpy) -> None:
    text = (
        "---\n- {command: a, key: 2004-11-12}\n- command: b\n- {command: c, key: }\n- {command: d, key: no}\n"
    )
    rqpy("submit", "-q", queue=queue.path, stdin=text, check=True)
    listing = rqpy("list", queue=queue.path, check=True).stdout
    assert [job.key for job in queue.jobs()] == ["2004-11-12", None, None, "no"]
    done = rqpy("submit", queue=queue.path, stdin=listing, check=True)
    assert [one["jid"] for one in yaml.safe_load(done.stdout)] == [1, 5, 6, 4]
    done = rqpy("submit", "--key=", "-f", "jid,key", queue=queue.path, stdin=listing, check=True)
    assert [one["key"] for one in yaml.safe_load(done.stdout)] == [None] * 4
    done = rqpy("query", "key=no", "-f", "jid", queue=queue.path, check=True)
    assert yaml.safe_load(done.stdout) == [{"jid": 4}]
    rqpy("update", "4", "key=yes", "-q", queue=queue.path, check=True)
    rqpy("resubmit", "4", "--key=on", "-q", queue=queue.path, check=True)
    assert queue.job(4).key == "on"


def _has_lines(path: Path, count: int) -> bool:
    """Whether a file is there and has so many lines."""
    return path.exists() and path.read_text().count("\n") >= count


def _submitters(
    queue: Path, environment: Mapping[str, str], log: Path, count: int
) -> list[subprocess.Popen[bytes]]:
    """Processes that submit jobs of the same two keys until they are stopped; the jobs tell when they run."""
    rqpy = " ".join(command_line(queue, "submit", "-q"))
    script = f"""until [ -e {log}.stop ]; do for key in k l; do
        {rqpy} --key=$key "echo + $key >> {log}; sleep 0.2; echo - $key >> {log}" || exit 1
        echo >> {log}.submits
    done; done"""
    return [
        subprocess.Popen(["sh", "-c", script], env=dict(environment), stdin=subprocess.DEVNULL)
        for _ in range(count)
    ]


def test_one_at_a_time_whoever_submits_and_whatever_is_killed(
    queue: Queue, feed: Feed, environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    nodes = ("one", "two")
    feeders = [feed("--max-feed=4", env={"RQ_NODE": node}) for node in nodes]
    submitters = _submitters(queue.path, environment, log, 3)
    for seen in (4, 12, 20):
        wait_until(partial(_has_lines, log, seen), 60)
        for number, node in enumerate(nodes):
            feeders[number].kill()
            feeders[number] = feed("--max-feed=4", env={"RQ_NODE": node})
    (tmp_path / "log.stop").touch()
    assert [one.wait(120) for one in submitters] == [0, 0, 0]
    wait_until(lambda: all(job.state is State.FINISHED for job in queue.jobs()), 60)
    jobs = list(queue.jobs())
    lines = log.read_text().split("\n")[:-1]
    for key in ("k", "l"):
        own = [line[0] for line in lines if line.endswith(key)]
        assert own == ["+", "-"] * sum(job.key == key for job in jobs), "each ran once, none beside another"
    submits = (tmp_path / "log.submits").read_text().count("\n")
    assert 2 < len(jobs) < submits, "some were there already"
