"""Human steps through the command line, with several feeders; these and ``complete`` are killed."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
import yaml

from rq_py import JobSpec, Queue, State
from tests.conftest import Rqpy, command_line
from tests.feeder.conftest import Feed, becomes
from tests.feeder.stopping import Stopped
from tests.waiting import wait_until

FLOW = """---
- name: plot
  command: echo plotted
- name: look
  kind: human
  command: |
    Look at the plots.
    Are the axes right?
  after: plot
- name: publish
  command: echo published
  after: look
- command: echo again
  after: 'look:failed'
"""


def test_others_go_on_when_it_is_completed_on_any_node(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    for node in ("one", "two"):
        feed("--max-feed=2", env={"RQ_NODE": node})
    rqpy("submit", "-q", queue=queue.path, stdin=FLOW, check=True)
    becomes(queue, 1, State.FINISHED)
    wait_until(lambda: rqpy("query", "waits=32", queue=queue.path).stdout != "--- []\n")
    done = rqpy("list", "2", queue=queue.path, check=True)
    (listed,) = yaml.safe_load(done.stdout)
    assert (listed["state"], listed["kind"]) == ("pending", "human")
    assert listed["command"] == "Look at the plots.\nAre the axes right?\n"
    assert rqpy("wait", "2", "3", "--timeout=0.2", queue=queue.path).returncode == 124
    said = ("complete", "2", "--note", "y is: wrong", "--fields=jid,exit_status,completed_by,note")
    done = rqpy(*said, queue=queue.path, env={"RQ_NODE": "three"}, check=True)
    (listed,) = yaml.safe_load(done.stdout)
    assert listed["completed_by"].endswith("@three")
    assert (listed["exit_status"], listed["note"]) == (0, "y is: wrong")
    assert rqpy("wait", "2", "3", queue=queue.path).returncode == 0
    assert becomes(queue, 4, State.DEAD).reason == "dependency"
    assert (queue.job(3).started or "") >= (queue.job(2).finished or "")
    # Once more: a copy of a listing waits for a person again, who says no.
    listing = rqpy("list", queue=queue.path, check=True).stdout
    rqpy("submit", "-q", queue=queue.path, stdin=listing, check=True)
    becomes(queue, 5, State.FINISHED)
    wait_until(lambda: rqpy("complete", "6", "--fail", queue=queue.path).returncode == 0)
    becomes(queue, 8, State.FINISHED)
    assert becomes(queue, 7, State.DEAD).reason == "dependency"
    assert rqpy("wait", "6", queue=queue.path).returncode == 1


def test_what_is_said_on_the_command_line(queue: Queue, rqpy: Rqpy) -> None:
    rqpy("submit", "-q", "--human", "--tag=t", "Look", "at", "it", queue=queue.path, check=True)
    rqpy("submit", "-q", "--human", "-t", "t", queue=queue.path, stdin="one\ntwo\n", check=True)
    rqpy("submit", "-q", "-t", "t", "true", queue=queue.path, check=True)
    assert [(job.kind, job.command) for job in queue.jobs()] == [
        ("human", "Look at it"), ("human", "one"), ("human", "two"), (None, "true"),
    ]  # fmt: skip
    found = rqpy("query", "kind=human", "tag=t", "-f", "jid", queue=queue.path, check=True)
    done = rqpy("complete", "-", "4", "17", "-f", "jid,state", queue=queue.path, stdin=found.stdout)
    assert done.returncode == 1
    assert yaml.safe_load(done.stdout) == [{"jid": jid, "state": "finished"} for jid in (1, 2, 3)]
    assert done.stderr == "rqpy: job 4 is no human step: not completed\nrqpy: no job 17\n"
    step = ("submit", "--human")
    for words in (
        ("complete", "all"),
        ("complete", "pending"),
        ("complete", "4", "--note", "x" * 70_000),
        (*step, "--retries=2", "look"),
        (*step, "--job-timeout=2h", "look"),
        (*step, "--backoff=2h", "look"),
        (*step, "--after=1", "--collect", "look"),
    ):
        done = rqpy(*words, queue=queue.path)
        assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, ""), words
    assert len(list(queue.jobs())) == 4
    rqpy("submit", "-q", "--human", "look", queue=queue.path, check=True)
    with subprocess.Popen(
        command_line(queue.path, "submit", "--human", "--wait", "-q", "look"),
        env=rqpy.environment, cwd=rqpy.cwd, stdin=subprocess.DEVNULL,
    ) as waiting:  # fmt: skip
        wait_until(lambda: len(list(queue.jobs())) == 6)
        rqpy("complete", "-q", "--fail", "6", queue=queue.path, check=True)
        assert waiting.wait(60) == 1


def test_a_feeder_does_not_wait_for_people(queue: Queue, feed: Feed) -> None:
    queue.submit_many(
        [JobSpec("look", kind="human", priority=9), JobSpec("true"), JobSpec("true", after=[1])]
    )
    assert feed("--until-empty").ends() == 0
    assert [job.state for job in queue.jobs()] == [State.PENDING, State.FINISHED, State.PENDING]


@pytest.mark.parametrize("point", ["recorded", "committed"])
def test_a_feeder_that_is_killed_forgets_no_completion(
    queue: Queue, feed: Feed, tmp_path: Path, point: str
) -> None:
    """It is stopped in its first ticks, in which it opens what is after the step."""
    last = JobSpec(f"echo once >> {tmp_path}/log", after=[2])
    queue.submit_many([JobSpec("true"), JobSpec("look", kind="human"), last])
    queue.complete(2)
    stopped = Stopped(feed, tmp_path, point)
    stopped.feeder.kill()
    for node in (None, "two"):
        feed(env={"RQ_NODE": node} if node else None)
    assert becomes(queue, 3, State.FINISHED).exit_status == 0
    assert (tmp_path / "log").read_text() == "once\n"


def test_complete_that_is_killed_has_done_all_or_nothing(queue: Queue, rqpy: Rqpy) -> None:
    count = 20
    queue.submit_many(JobSpec("look", kind="human") for _ in range(count))
    queue.submit_many(JobSpec("true", after=[jid]) for jid in range(1, count + 1))
    killed = 0
    for first in range(1, count, 2):
        process = subprocess.Popen(
            command_line(queue.path, "complete", "-q", f"{first}", f"{first + 1}", "--note=x"),
            env=rqpy.environment, cwd=rqpy.cwd, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(0.02 * (first // 2))  # at any moment of it; the first one is surely killed
        process.kill()
        killed += process.wait() < 0
        one, two = queue.jobs(first, first + 1)
        assert (one.state, one.note, one.completed_by) == (two.state, two.note, two.completed_by)
        assert (one.state, one.note) in {(State.PENDING, None), (State.FINISHED, "x")}
        if one.state is State.PENDING:
            rqpy("complete", "-q", f"{first}", f"{first + 1}", queue=queue.path, check=True)
    assert killed
    rqpy("feed", "--until-empty", queue=queue.path, check=True)
    assert {job.state for job in queue.jobs()} == {State.FINISHED}
