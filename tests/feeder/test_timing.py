"""Conditions of time through the command line, with several feeders: jobs begin, expire, are tried again."""

from __future__ import annotations

import signal
from pathlib import Path

import yaml

from rq_py import Queue, State
from rq_py.clock import seconds_of
from tests.conftest import Rqpy
from tests.feeder.conftest import Feed, Gate, becomes, number_in
from tests.waiting import wait_until


def began(queue: Queue, jid: int) -> float:
    """When the last attempt of a job that has ended was claimed, seconds since the epoch."""
    return seconds_of(queue.job(jid).started or "")


def test_a_job_waits_for_its_time_whoever_feeds(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    for _ in range(3):
        rqpy("submit", "-q", "--not-before=+2s", "true", queue=queue.path, check=True)
    rqpy("submit", "-q", "--not-before=2999-01-01", "true", queue=queue.path, check=True)
    rqpy("submit", "-q", "true", queue=queue.path, check=True)
    for node in ("one", "two"):
        feed(env={"RQ_NODE": node})
    becomes(queue, 5, State.FINISHED)
    for jid in (1, 2, 3):
        job = becomes(queue, jid, State.FINISHED)
        assert job.attempt == 1
        assert began(queue, jid) >= seconds_of(job.not_before or "")
    assert queue.job(4).state is State.PENDING
    rqpy("update", "4", "not_before=", queue=queue.path, check=True)
    becomes(queue, 4, State.FINISHED)


def test_a_feeder_wakes_up_when_it_is_time(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    """Nothing else happens in the queue, and a feeder looks around only every 30 seconds."""
    feed()
    rqpy("submit", "-q", "--not-before=+3s", "true", queue=queue.path, check=True)
    assert becomes(queue, 1, State.FINISHED).attempt == 1


def test_a_feeder_that_is_busy_keeps_the_time_of_others(
    queue: Queue, feed: Feed, rqpy: Rqpy, gate: Gate
) -> None:
    """What has no free slot asks the queue for nothing else."""
    rqpy("submit", "-q", gate.command, queue=queue.path, check=True)
    rqpy("submit", "-q", "--expires=+3s", "true", queue=queue.path, check=True)
    feed("--max-feed=1")
    assert becomes(queue, 2, State.DEAD).reason == "expired"
    assert queue.job(1).state is State.RUNNING
    gate.open(1)
    becomes(queue, 1, State.FINISHED)


def test_what_waits_too_long_expires(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    submit = ("submit", "-q", "--expires=+1s")
    rqpy(*submit, "--runner=elsewhere", "true", queue=queue.path, check=True)
    rqpy(*submit, "--stage", "true", queue=queue.path, check=True)
    rqpy(*submit, "--not-before=+1h", "true", queue=queue.path, check=True)
    rqpy("submit", "-q", "--expires=+1h", "true", queue=queue.path, check=True)
    for node in ("one", "two"):
        feed(env={"RQ_NODE": node})
    for jid in (1, 2, 3):
        job = becomes(queue, jid, State.DEAD)
        assert (job.reason, job.attempt) == ("expired", 0)
        assert job.finished >= job.expires  # type: ignore[operator]
    becomes(queue, 4, State.FINISHED)
    rqpy("resubmit", "3", "--not-before=", queue=queue.path, check=True)
    assert becomes(queue, 3, State.FINISHED).expires is None


def test_what_has_expired_before_there_was_a_feeder_is_not_run(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    rqpy("submit", "-q", "--expires=2004-11-12", "--priority=9", "true", queue=queue.path, check=True)
    rqpy("submit", "-q", "true", queue=queue.path, check=True)
    assert feed("--until-empty").ends() == 0
    assert queue.job(1).reason == "expired"
    assert queue.job(2).state is State.FINISHED


def test_a_job_that_takes_too_long_is_ended(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    rqpy("submit", "-q", "--job-timeout=1", "sleep 1000", queue=queue.path, check=True)
    rqpy("submit", "-q", "--job-timeout=1", "trap '' TERM; sleep 1000 & wait", queue=queue.path, check=True)
    rqpy("submit", "-q", "--job-timeout=1h", "true", queue=queue.path, check=True)
    feed("--max-feed=3", "--grace=1")
    first, second = becomes(queue, 1, State.FINISHED), becomes(queue, 2, State.FINISHED)
    assert (first.signal, first.reason) == (signal.SIGTERM, "timeout")
    assert (second.signal, second.reason) == (signal.SIGKILL, "timeout")
    assert (first.elapsed or 0) >= 1
    assert becomes(queue, 3, State.FINISHED).reason is None


def test_the_next_feeder_keeps_the_time(queue: Queue, feed: Feed, rqpy: Rqpy, tmp_path: Path) -> None:
    command = f"echo $$ > {tmp_path}/pid; sleep 1000"
    rqpy("submit", "-q", "--job-timeout=3", command, queue=queue.path, check=True)
    feeder = feed()
    number_in(tmp_path / "pid")
    feeder.kill()
    feed()
    job = becomes(queue, 1, State.FINISHED)
    assert (job.signal, job.reason, job.attempt) == (signal.SIGTERM, "timeout", 1)


def test_a_job_that_fails_is_tried_again(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    rqpy("submit", "-q", "--retries=2", "--backoff=1", "exit 3", queue=queue.path, check=True)
    rqpy("submit", "-q", "--retries=5", "test $RQ_ATTEMPT = 3", queue=queue.path, check=True)
    rqpy("submit", "-q", "--retries=1", "--job-timeout=1", "sleep 1000", queue=queue.path, check=True)
    for node in ("one", "two"):
        feed("--max-feed=2", env={"RQ_NODE": node})
    wait_until(lambda: all(job.state is State.FINISHED for job in queue.jobs()), 60)
    listed = yaml.safe_load(rqpy("list", queue=queue.path, check=True).stdout)
    first, second, third = listed
    assert [(one["attempt"], one["exit_status"]) for one in first["attempts"]] == [(1, 3), (2, 3)]
    assert (first["attempt"], first["exit_status"], first["retries"], first["backoff"]) == (3, 3, 2, 1.0)
    ends = [one["finished"] for one in first["attempts"]]
    starts = [first["attempts"][1]["started"], first["started"]]
    pauses = [(start - end).total_seconds() for start, end in zip(starts, ends, strict=True)]
    assert pauses[0] >= 1
    assert pauses[1] >= 2
    assert [one["exit_status"] for one in second["attempts"]] == [1, 1]
    assert (second["attempt"], second["exit_status"]) == (3, 0)
    assert [one["reason"] for one in third["attempts"]] == ["timeout"]
    assert (third["attempt"], third["reason"]) == (2, "timeout")
    assert queue.status()["exit_status"] == {"successes": 1, "failures": 2}
    rqpy("delete", "all", queue=queue.path, check=True)
    with queue.store.read() as tx:
        assert tx.execute("SELECT count(*) FROM attempts").fetchone() == (0,)


def test_a_stopped_job_is_not_tried_again(queue: Queue, feed: Feed, rqpy: Rqpy, gate: Gate) -> None:
    rqpy("submit", "-q", "--retries=9", f"{gate.command}; exit 1", queue=queue.path, check=True)
    feeder = feed()
    becomes(queue, 1, State.RUNNING)
    rqpy("stop", queue=queue.path, check=True)
    assert feeder.ends() == 0
    job = queue.job(1)
    assert (job.state, job.reason, job.attempt) == (State.DEAD, "stopped", 1)
