"""A feeder that could not renew its lease for a while, and is back before anybody has buried its jobs."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from rq_py import Queue, State
from tests.feeder.conftest import Feed, FeederProcess, Gate, becomes, has_ended, number_in
from tests.waiting import wait_until

#: Seconds: the dead man's switch acts after half of it.
NODE_LEASE = 6


@pytest.fixture
def feeder(queue: Queue, feed: Feed) -> FeederProcess:
    """A feeder whose node has a short lease."""
    file = queue.dir.settings
    file.write_text(file.read_text().replace("node_lease: 600", f"node_lease: {NODE_LEASE}"))
    return feed("--max-feed", "2")


def test_a_restartable_job_that_was_ended_meanwhile_runs_again(
    queue: Queue, feeder: FeederProcess, gate: Gate
) -> None:
    queue.submit("[ $RQ_ATTEMPT = 1 ] && sleep 1000; exit 4", restartable=True)
    queue.submit(f"{gate.command}; exit 5")
    shell = becomes(queue, 1, State.RUNNING).pid
    becomes(queue, 2, State.RUNNING)
    assert shell is not None
    feeder.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: has_ended(shell), 30)  # not by us, not by the job
    feeder.process.send_signal(signal.SIGCONT)
    gate.open(2)
    first, second = becomes(queue, 1, State.FINISHED), becomes(queue, 2, State.FINISHED)
    assert (first.exit_status, first.signal, first.reason) == (4, None, None)
    assert (second.exit_status, second.attempt) == (5, 1)


def test_it_does_not_run_again_before_all_of_it_is_gone(
    queue: Queue, feeder: FeederProcess, tmp_path: Path
) -> None:
    """Its shell ends by SIGTERM at once, and a process of it only by the SIGKILL that follows."""
    stubborn = f"(trap '' TERM; sh -c 'echo $PPID' > {tmp_path}/pid; while :; do sleep 0.1; done)"
    again = f"if kill -0 $(cat {tmp_path}/pid); then exit 1; else exit 4; fi"
    queue.submit(f"if [ $RQ_ATTEMPT = 1 ]; then {stubborn}; else {again}; fi", restartable=True)
    shell = becomes(queue, 1, State.RUNNING).pid
    left = number_in(tmp_path / "pid")
    assert shell is not None
    assert left != shell
    feeder.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: has_ended(shell), 30)
    assert not has_ended(left)
    feeder.process.send_signal(signal.SIGCONT)
    job = becomes(queue, 1, State.FINISHED)
    assert job.exit_status == 4


def test_it_runs_again_after_the_next_feeder_has_heard_of_it(
    queue: Queue, feeder: FeederProcess, feed: Feed
) -> None:
    queue.submit("[ $RQ_ATTEMPT = 1 ] && sleep 1000; exit 4", restartable=True)
    shell = becomes(queue, 1, State.RUNNING).pid
    assert shell is not None
    feeder.kill()
    wait_until(lambda: has_ended(shell), 30)
    feed()
    job = becomes(queue, 1, State.FINISHED)
    assert job.exit_status == 4
