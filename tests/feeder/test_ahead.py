"""Claiming ahead: short jobs share transactions, others leave no slot idle, and none is lost or run twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue, State
from rq_py.feeder.ahead import LEAST_SECONDS, MOST_JOBS, Ahead
from rq_py.runner.identity import boottime
from tests.feeder.conftest import Feed, Gate, count
from tests.waiting import wait_until


def learn(ahead: Ahead, job_seconds: float, ended: int = 8, rounds: int = 20) -> None:
    for _ in range(rounds):
        ahead.ticked([job_seconds] * ended, 0.001)


def test_nothing_is_claimed_ahead_until_many_jobs_have_been_short() -> None:
    ahead = Ahead(2)
    assert ahead.count == 0
    for _ in range(4):
        ahead.ticked([0.001], 0.001)
        assert ahead.count == 0
    learn(ahead, 0.001)
    assert 8 < ahead.count <= MOST_JOBS
    ahead.begin_anew()
    assert ahead.count == 0


def test_jobs_that_take_long_are_not_claimed_ahead() -> None:
    ahead = Ahead(2)
    learn(ahead, 2 * LEAST_SECONDS * 2)
    assert ahead.count == 0


def test_one_long_job_ends_it() -> None:
    ahead = Ahead(2)
    learn(ahead, 0.001)
    ahead.ticked([3600.0], 0.001)
    assert ahead.count == 0


def test_slow_transactions_have_more_ahead() -> None:
    quick, slow = Ahead(2), Ahead(2)
    for _ in range(20):
        quick.ticked([0.02] * 8, 0.001)
        slow.ticked([0.02] * 8, 0.25)
    assert slow.seconds > 2 * quick.seconds
    assert slow.count > quick.count


@pytest.mark.parametrize(("tick_seconds", "apart"), [(0.002, 0.04), (0.25, 0.5)])
def test_ticks_are_apart_so_that_the_lock_is_free_but_come_before_the_work_is_done(
    tick_seconds: float, apart: float
) -> None:
    ahead = Ahead(2)
    assert ahead.record_at(1000) == 0
    for _ in range(40):
        begun = boottime()
        ahead.ticked([0.02] * 8, tick_seconds)
        ended = boottime()
    assert begun + apart <= ahead.record_at(1000) + 1e-6
    assert ahead.record_at(1000) - 1e-6 <= ended + apart
    assert ahead.record_at(ahead.count // 2) == 0, "there is too little work left"


def test_where_transactions_take_longer_than_jobs_the_slots_do_not_stand_still_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What ends in a second is then what was claimed, and says nothing about what the slots could do."""
    now = 1000.0
    monkeypatch.setattr("rq_py.feeder.ahead.boottime", lambda: now)
    ahead = Ahead(2)
    for _ in range(10):
        now += 3.0
        ahead.ticked([0.3] * (2 + ahead.count), 2.5)
    assert ahead.count * 0.3 / 2 > 0.8 * ahead.seconds


def test_short_jobs_share_transactions_and_each_runs_once(queue: Queue, feed: Feed, tmp_path: Path) -> None:
    log = tmp_path / "log"
    queue.submit_many(JobSpec(f"echo $RQ_JID >>'{log}'", cwd="/") for _ in range(400))
    assert feed("--max-feed", "2", "--until-empty", up=False).ends(60) == 0
    assert {job.state for job in queue.jobs()} == {State.FINISHED}
    assert sorted(map(int, log.read_text().split())) == list(range(1, 401))
    assert all(job.pid and (job.started or "") < (job.finished or "") for job in queue.jobs())


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_what_was_claimed_ahead_is_released_when_the_feeder_ends(
    queue: Queue, feed: Feed, tmp_path: Path, signum: signal.Signals
) -> None:
    """What waits with the runner must not be lost, nor run twice."""
    log = tmp_path / "log"
    queue.submit_many(JobSpec(f"echo $RQ_JID >>'{log}'", cwd="/") for _ in range(600))
    feeder = feed("--max-feed", "2")
    wait_until(lambda: count(queue, State.RUNNING) > 8 or count(queue, State.FINISHED) == 600, 60)
    feeder.process.send_signal(signum)
    feeder.ends()
    if signum == signal.SIGTERM:
        assert count(queue, State.RUNNING) == 0
    assert feed("--max-feed", "2", "--until-empty", up=False).ends(60) == 0
    assert {job.state for job in queue.jobs()} == {State.FINISHED}
    assert sorted(map(int, log.read_text().split())) == list(range(1, 601))


def test_jobs_behind_one_that_takes_long_are_given_back_to_the_other_nodes(
    queue: Queue, feed: Feed, gate: Gate
) -> None:
    short = [JobSpec("true", cwd="/", priority=1) for _ in range(200)]
    queue.submit_many([*short, *(JobSpec(gate.command, cwd="/") for _ in range(40))])
    feed("--max-feed", "2")
    wait_until(lambda: count(queue, State.FINISHED) == 200, 60)
    wait_until(lambda: count(queue, State.RUNNING) == 2, 60)
    assert count(queue, State.PENDING) == 38
    assert all(job.pid for job in queue.jobs("running"))
