"""kill -9 of the feeder, of the runner and of both, at the moments that matter."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue, State
from rq_py.store.database import SCHEMA_VERSION
from tests.feeder.conftest import (
    Feed,
    Gate,
    becomes,
    count,
    has_ended,
    runner_is_gone,
    runner_pid,
)
from tests.feeder.stopping import Stopped
from tests.waiting import wait_until


def test_jobs_survive_their_feeder_and_the_next_one_reports_them(
    queue: Queue, feed: Feed, gate: Gate, environment: dict[str, str]
) -> None:
    queue.submit(f"{gate.command}; exit 3")
    queue.submit(f"{gate.command}; exit 4")
    feeder = feed("--max-feed", "2")
    for jid in (1, 2):
        gate.reached(jid)
    shell = queue.job(1).pid
    assert shell is not None
    feeder.kill()
    gate.open(1)  # ends while there is no feeder
    wait_until(lambda: has_ended(shell))
    assert queue.job(1).state is State.RUNNING
    runner = runner_pid(queue, environment)
    feed("--max-feed", "2")
    first = becomes(queue, 1, State.FINISHED)
    gate.open(2)
    second = becomes(queue, 2, State.FINISHED)
    assert (first.exit_status, second.exit_status) == (3, 4)
    assert (first.attempt, second.attempt) == (1, 1)
    assert runner_pid(queue, environment) == runner


def test_a_killed_runner_is_replaced_and_its_jobs_are_ended(
    queue: Queue, feed: Feed, environment: dict[str, str], tmp_path: Path
) -> None:
    leaves_traces = (
        f"echo $$ >> {tmp_path}/pids-$RQ_JID; sleep 1000 & echo $! >> {tmp_path}/pids-$RQ_JID; wait"
    )
    queue.submit(leaves_traces)
    queue.submit(f"[ $RQ_ATTEMPT = 2 ] && exit 5; {leaves_traces}", restartable=True)
    feeder = feed("--max-feed", "2")
    pids = [pid for jid in (1, 2) for pid in _pids(tmp_path / f"pids-{jid}")]
    runner_is_gone(runner_pid(queue, environment))
    dead = becomes(queue, 1, State.DEAD)
    again = becomes(queue, 2, State.FINISHED)
    assert (dead.reason, dead.exit_status) == ("runner_lost", None)
    assert (again.attempt, again.exit_status) == (2, 5)
    assert all(has_ended(pid) for pid in pids)
    queue.submit("exit 6")
    assert becomes(queue, 3, State.FINISHED).exit_status == 6
    assert feeder.process.poll() is None


def _pids(path: Path) -> list[int]:
    wait_until(lambda: path.exists() and path.read_text().count("\n") == 2)
    return [int(line) for line in path.read_text().split()]


def test_a_runner_killed_while_there_was_no_feeder(
    queue: Queue, feed: Feed, environment: dict[str, str], tmp_path: Path
) -> None:
    queue.submit(f"echo $$ >> {tmp_path}/pids; sleep 1000 & echo $! >> {tmp_path}/pids; wait")
    feeder = feed()
    pids = _pids(tmp_path / "pids")
    feeder.kill()
    runner_is_gone(runner_pid(queue, environment))
    feed()
    assert becomes(queue, 1, State.DEAD).reason == "runner_lost"
    assert all(has_ended(pid) for pid in pids)


def test_both_killed_between_commit_and_launch_gives_the_jobs_back(
    queue: Queue, feed: Feed, environment: dict[str, str], tmp_path: Path
) -> None:
    queue.submit_many(JobSpec(f"echo ran >> {tmp_path}/ran", cwd="/") for _ in range(2))
    stopped = Stopped(feed, tmp_path, "committed", "--max-feed", "2")
    assert count(queue, State.RUNNING) == 2
    stopped.feeder.kill()
    runner_is_gone(runner_pid(queue, environment))
    assert feed("--until-empty").ends() == 0
    jobs = list(queue.jobs())
    assert [(job.state, job.exit_status, job.attempt) for job in jobs] == [(State.FINISHED, 0, 2)] * 2
    assert (tmp_path / "ran").read_text() == "ran\n" * 2


@pytest.mark.parametrize("point", ["attached", "agreed"])
def test_a_runner_that_is_killed_while_the_feeder_starts_is_replaced(
    queue: Queue, feed: Feed, environment: dict[str, str], tmp_path: Path, point: str
) -> None:
    """Found in the NFS lab."""
    queue.submit("exit 3")
    starting = Stopped(feed, tmp_path, point, "--until-empty")
    runner_is_gone(runner_pid(queue, environment))
    starting.goes_on()
    assert starting.feeder.ends() == 0, starting.feeder.log
    assert queue.job(1).exit_status == 3


def test_the_feeder_alone_killed_between_commit_and_launch(queue: Queue, feed: Feed, tmp_path: Path) -> None:
    queue.submit(f"echo ran >> {tmp_path}/ran")
    stopped = Stopped(feed, tmp_path, "committed")
    stopped.feeder.kill()
    again = feed("--until-empty")
    assert again.ends() == 0
    assert "was claimed but never launched: released" in again.log
    assert (queue.job(1).exit_status, queue.job(1).attempt) == (0, 2)
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_killed_before_the_commit_nothing_has_happened(queue: Queue, feed: Feed, tmp_path: Path) -> None:
    queue.submit(f"echo ran >> {tmp_path}/ran")
    stopped = Stopped(feed, tmp_path, "claimed")
    stopped.feeder.kill()
    assert queue.job(1).state is State.PENDING
    assert feed("--until-empty").ends() == 0
    assert (queue.job(1).exit_status, queue.job(1).attempt) == (0, 1)
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_killed_before_an_exit_was_committed_it_is_not_forgotten(
    queue: Queue, feed: Feed, tmp_path: Path
) -> None:
    queue.submit("exit 3")
    stopped = Stopped(feed, tmp_path, "recorded")
    stopped.feeder.kill()
    assert queue.job(1).state is State.RUNNING
    assert feed("--until-empty").ends() == 0
    assert (queue.job(1).state, queue.job(1).exit_status, queue.job(1).attempt) == (State.FINISHED, 3, 1)


def test_killed_after_the_launch_the_job_runs_once(queue: Queue, feed: Feed, tmp_path: Path) -> None:
    queue.submit(f"echo ran >> {tmp_path}/ran")
    stopped = Stopped(feed, tmp_path, "launched")
    stopped.feeder.kill()
    assert feed("--until-empty").ends() == 0
    assert (queue.job(1).exit_status, queue.job(1).attempt) == (0, 1)
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_without_the_journal_nothing_is_proved(
    queue: Queue, feed: Feed, environment: dict[str, str], tmp_path: Path
) -> None:
    trace = f"echo $$ >> {tmp_path}/pids-$RQ_JID; sleep 1000 & echo $! >> {tmp_path}/pids-$RQ_JID; wait"
    queue.submit(trace)
    queue.submit(f"[ $RQ_ATTEMPT = 2 ] && exit 5; {trace}", restartable=True)
    feeder = feed("--max-feed", "2")
    pids = [pid for jid in (1, 2) for pid in _pids(tmp_path / f"pids-{jid}")]
    feeder.kill()
    runner_is_gone(runner_pid(queue, environment))
    (queue.local_state / "runner.journal").unlink()
    feed("--max-feed", "2")
    assert becomes(queue, 1, State.DEAD).reason == "journal_lost"
    assert becomes(queue, 2, State.FINISHED).exit_status == 5
    assert all(has_ended(pid) for pid in pids)


@pytest.mark.parametrize("point", ["claimed", "committed"])
def test_a_commit_of_unknown_outcome_is_asked_for_and_launched_once(
    queue: Queue, feed: Feed, tmp_path: Path, point: str
) -> None:
    """The generation is frozen around the COMMIT, as by another node that thinks the holder is stuck."""
    queue.submit_many(JobSpec(f"echo ran >> {tmp_path}/ran", cwd="/") for _ in range(2))
    generation = queue.store.generations.current()
    stopped = Stopped(feed, tmp_path, point, "--max-feed", "2", "--until-empty")
    generation.frozen.write_text("a test\n")
    stopped.goes_on()
    assert stopped.feeder.ends() == 0
    assert (tmp_path / "ran").read_text() == "ran\n" * 2
    assert [(job.state, job.exit_status) for job in queue.jobs()] == [(State.FINISHED, 0)] * 2
    assert queue.store.generations.current().number == generation.number + 1
    assert ("the outcome is known: 2 jobs were claimed" in stopped.feeder.log) == (point == "claimed")


def test_a_lost_node_is_buried_by_another_and_may_return(
    queue_path: Path, environment: dict[str, str], queue: Queue, feed: Feed, gate: Gate
) -> None:
    assert queue.path == queue_path
    file = queue.dir.settings
    file.write_text(file.read_text().replace("node_lease: 600", "node_lease: 2"))
    queue.submit(f"{gate.command}; exit 3")
    queue.submit(f"{gate.command}; exit 4", restartable=True)
    lost = feed("--max-feed", "2")
    for jid in (1, 2):
        becomes(queue, jid, State.RUNNING)
    # Its runner lives on: after half a lease without renewals it ends the restartable job.
    lost.kill()
    other = feed("--max-feed", "1", env={"RQ_NODE": f"{environment['RQ_NODE']}-2"})
    assert becomes(queue, 1, State.DEAD).reason == "node_lost"
    other.says("its lease ran out: 2 jobs buried")
    wait_until(lambda: queue.job(2).attempt == 2)
    gate.open(2, attempt=2)
    assert becomes(queue, 2, State.FINISHED).exit_status == 4
    gate.open(1)
    back = feed("--max-feed", "2")
    first = becomes(queue, 1, State.FINISHED)
    assert (first.exit_status, first.reason, first.attempt) == (3, None, 1)
    back.says("job 2: its claim was lost, its exit is refused")
    again = queue.job(2)
    assert (again.exit_status, again.attempt) == (4, 2)


def test_a_queue_that_a_newer_rqpy_took_over_is_left_alone_and_exits_are_kept(
    queue: Queue, feed: Feed, gate: Gate, environment: dict[str, str]
) -> None:
    queue.submit(f"{gate.command}; exit 3")
    feeder = feed("--min-sleep", "0.05", "--max-feed", "2")
    shell = becomes(queue, 1, State.RUNNING).pid
    assert shell is not None
    database = queue.store.generations.current().database
    _set_version(database, 1_000_000)
    assert feeder.ends() == 1
    assert feeder.log.splitlines()[-1].startswith("rqpy: ")
    gate.open(1)
    wait_until(lambda: has_ended(shell))
    runner_pid(queue, environment)  # it stays: its exit has not been recorded yet
    _set_version(database, SCHEMA_VERSION)
    assert feed("--until-empty").ends() == 0
    assert queue.job(1).exit_status == 3


def _set_version(database: Path, version: int) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = PERSIST")
        connection.execute(f"PRAGMA user_version = {version}")
