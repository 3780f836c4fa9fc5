"""Kills and stops in which what one hello tells, or one COMMIT says, is not the whole truth."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from rq_py import JobSpec, Queue, State, claims, clock
from rq_py.localstate import LocalState
from rq_py.locking.owner import feeder_id, node_name
from rq_py.runner.identity import boot_id
from rq_py.runner.journal import Record, encode_record
from tests.feeder.conftest import (
    Feed,
    FeederProcess,
    has_ended,
    number_in,
    runner_is_gone,
    runner_pid,
)
from tests.feeder.stopping import Stopped
from tests.waiting import wait_until


def test_more_exits_than_one_hello_tells_are_all_recorded_and_nothing_runs_twice(
    queue: Queue, feed: Feed, tmp_path: Path
) -> None:
    file = queue.dir.settings
    file.write_text(file.read_text().replace("shell: bash", "shell: sh"))
    os.mkfifo(tmp_path / "gate")
    number = 520  # a hello tells 500
    queue.submit_many(JobSpec(f"read x < {tmp_path}/gate; exit 3", cwd="/") for _ in range(number))
    feeder = feed("--max-feed", str(number))
    wait_until(lambda: feeder.log.count("launched as pid") == number, 30)
    feeder.kill()
    shells = [job.pid or 0 for job in queue.jobs()]
    gate = os.open(tmp_path / "gate", os.O_RDWR)
    try:
        os.write(gate, b"\n" * number)
        wait_until(lambda: all(has_ended(pid) for pid in shells), 30)
    finally:
        os.close(gate)
    again = feed("--max-feed", "2", "--until-empty")
    assert again.ends() == 0
    assert "released" not in again.log
    assert "20 jobs: the runner has more to tell" in again.log
    assert {(job.state, job.exit_status, job.attempt) for job in queue.jobs()} == {(State.FINISHED, 3, 1)}


#: Its shell dies of TERM at once, and its child of nothing but KILL.
_DEAF = "bash -c \"trap '' TERM; while :; do sleep 0.1; done\" & echo $! > {}/deaf-$RQ_JID; wait; true"


def test_a_runner_killed_during_a_stop_leaves_no_tree_behind(
    queue: Queue, feed: Feed, environment: dict[str, str], tmp_path: Path
) -> None:
    queue.submit(_DEAF.format(tmp_path))
    queue.submit(_DEAF.format(tmp_path), restartable=True)
    feeder = feed("--max-feed", "2", "--grace", "20")
    pids = [number_in(tmp_path / f"deaf-{jid}") for jid in (1, 2)]
    shells = [queue.job(jid).pid or 0 for jid in (1, 2)]
    for word in ("draining", "stopping"):
        feeder.process.send_signal(signal.SIGINT)
        feeder.says(word)
    wait_until(lambda: all(has_ended(pid) for pid in shells))
    runner_is_gone(runner_pid(queue, environment))
    assert feeder.ends() == 0
    assert all(has_ended(pid) for pid in pids)
    dead, again = queue.jobs()
    assert (dead.state, dead.reason) == (State.DEAD, "stopped")
    assert (again.state, again.token) == (State.PENDING, "")


def test_a_job_that_a_stop_is_ending_is_no_claim_in_doubt(queue: Queue, feed: Feed, tmp_path: Path) -> None:
    queue.submit(_DEAF.format(tmp_path))
    queue.submit(f"echo $$ > {tmp_path}/meek; exec sleep 1000")

    def stop(feeder: FeederProcess) -> None:
        for name in ("deaf-1", "meek"):
            number_in(tmp_path / name)
        for word in ("draining", "stopping"):
            feeder.process.send_signal(signal.SIGINT)
            feeder.says(word)

    stopped = Stopped(feed, tmp_path, "recorded", "--max-feed", "2", "--grace", "3", meanwhile=stop)
    queue.store.generations.current().frozen.write_text("a test\n")
    stopped.goes_on()
    stopped.feeder.says("the outcome is known: 0 jobs were claimed")
    assert queue.job(1).state is State.RUNNING
    assert not has_ended(number_in(tmp_path / "deaf-1"))
    assert stopped.feeder.ends() == 0
    assert [(job.state, job.reason) for job in queue.jobs()] == [(State.DEAD, "stopped")] * 2
    assert has_ended(number_in(tmp_path / "deaf-1"))


def test_what_one_hello_has_cut_is_decided_by_the_next_a_moment_later(queue: Queue, feed: Feed) -> None:
    number, journal = 1005, "00000000000000aa"  # a hello tells of 1000 that were lost
    queue.submit_many(JobSpec("echo ran", cwd="/") for _ in range(number))
    node = node_name()
    with queue.store.write() as tx:
        jobs = claims.claim(
            tx,
            feeder=feeder_id(node, os.getuid()),
            node=node,
            pids=[1] * number,
            journal=journal,
            now=clock.utc_text(),
        )
    goings: list[Record] = [
        {
            "jid": job.jid,
            "attempt": 1,
            "token": job.token,
            "pid": 1,
            "start": 1,
            "restartable": False,
            "at": 1.0,
        }
        for job in jobs
    ]
    with LocalState(queue.local_state) as state:
        (state.path / "runner.journal").write_bytes(
            encode_record("header", {"journal": journal, "boot": boot_id(), "format": 1})
            + b"".join(encode_record("rebooted", going) for going in goings)
        )
    begun = time.monotonic()
    assert feed("--until-empty").ends() == 0
    assert time.monotonic() - begun < 15  # and not after a full tick
    assert {(job.state, job.reason) for job in queue.jobs()} == {(State.DEAD, "node_rebooted")}
