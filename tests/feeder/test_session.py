"""A feeder's start beside another machine of the same name, and its end when its local state is removed."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from rq_py import Queue, State, claims, clock
from rq_py.errors import FeederError
from rq_py.feeder import namesake
from rq_py.feeder.options import FeedOptions
from rq_py.feeder.signals import Signals
from rq_py.feeder.single import Single, this_process
from rq_py.localstate import LocalState
from rq_py.locking.owner import Owner, feeder_id
from rq_py.locking.record import Phase, Record
from tests.feeder.conftest import Feed, Gate, becomes, has_ended, runner_is_gone, runner_pid

ELSEWHERE = "00000000-0000-4000-8000-000000000000"  # the boot of another machine


def record_of(owner: Owner) -> Record:
    return Record(owner, Phase.FEEDING, "0123456789abcdef")


def write(lease: Path, record: Record) -> None:
    with lease.open("r+b" if lease.exists() else "wb") as file:
        record.write(file.fileno(), durable=False)


@contextmanager
def renewing(lease: Path, record: Record) -> Iterator[None]:
    """Another machine that renews ``lease`` every tenth of a second."""
    end = threading.Event()

    def renew() -> None:
        mine = record
        while not end.wait(0.1):
            mine = mine.refreshed()
            write(lease, mine)

    write(lease, record)
    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@pytest.fixture
def lease(queue: Queue) -> Path:
    """The lease of this test's node."""
    return queue.dir.feeders / feeder_id(os.environ["RQ_NODE"], os.getuid())


@pytest.fixture
def foreign() -> Record:
    """The record of a feeder on another machine of the same name."""
    return record_of(Owner.of_this_process()._replace(boot=ELSEWHERE))


def claim_elsewhere(queue: Queue) -> None:
    """A job that the other machine runs."""
    queue.submit("true", cwd="/")
    node = os.environ["RQ_NODE"]
    with queue.store.write() as tx:
        (job,) = claims.claim(
            tx,
            feeder=feeder_id(node, os.getuid()),
            node=node,
            pids=[1],
            journal="0123456789abcdef",
            now=clock.utc_text(),
        )
    assert job.jid == 1


def test_beside_another_machine_of_the_same_name_it_changes_nothing(
    queue: Queue, feed: Feed, lease: Path, foreign: Record
) -> None:
    queue.configure({"node_lease": "2"})
    claim_elsewhere(queue)
    with renewing(lease, foreign):
        feeder = feed("--until-empty", up=False)
        assert feeder.ends() == 1
    node = os.environ["RQ_NODE"]
    assert f"watching for 5 s whether another machine feeds as node {node}" in feeder.log
    assert f"another machine feeds as node {node}: give each its own RQ_NODE" in feeder.log
    assert (queue.job(1).state, queue.job(1).attempt) == (State.RUNNING, 1)
    left = Record.decode(lease.read_bytes())
    assert left is not None
    assert left.owner == foreign.owner


def test_a_lease_that_nobody_renews_is_taken_over(
    queue: Queue, feed: Feed, lease: Path, foreign: Record
) -> None:
    queue.configure({"node_lease": "2"})
    claim_elsewhere(queue)
    write(lease, foreign)
    feeder = feed("--until-empty")
    assert feeder.ends() == 0
    assert "nobody else feeds as node" in feeder.log
    assert queue.job(1).reason == "journal_lost"


def test_a_signal_ends_the_watching(queue: Queue, feed: Feed, lease: Path, foreign: Record) -> None:
    claim_elsewhere(queue)
    write(lease, foreign)
    feeder = feed(up=False)
    feeder.says("watching for 35 s")
    feeder.process.send_signal(signal.SIGTERM)
    assert feeder.ends(10) == 1
    assert queue.job(1).state is State.RUNNING


def test_without_jobs_at_stake_nothing_is_waited_for(
    queue: Queue, feed: Feed, lease: Path, foreign: Record
) -> None:
    write(lease, foreign)
    feeder = feed("--until-empty")
    assert feeder.ends() == 0
    assert "watching" not in feeder.log


def test_jobs_that_this_machines_runner_knows_are_taken_over_at_once(
    queue: Queue, feed: Feed, gate: Gate, lease: Path, foreign: Record
) -> None:
    queue.submit(gate.command, cwd="/")
    first = feed()
    gate.reached(1)
    first.kill()
    write(lease, foreign)
    second = feed()
    gate.open(1)
    assert becomes(queue, 1, State.FINISHED).attempt == 1
    assert "watching" not in second.log


def test_whose_lease_is_nobodys_any_more(lease: Path, foreign: Record, state_dir: Path) -> None:
    assert not namesake.may_live(lease, None)
    write(lease, foreign)
    assert namesake.may_live(lease, None)
    one = Single(state_dir, "/q")
    assert one.killed is None
    options = FeedOptions("/q")
    me = this_process(options, node=foreign.owner.node, since="", version="", log="")
    one.tell(replace(me, boot=ELSEWHERE, pid=foreign.owner.pid + 1))
    one._lock.release()  # as by kill -9, and a reboot
    second = Single(state_dir, "/q")
    assert namesake.may_live(lease, second.killed), "another process than the lease's owner"
    write(lease, record_of(foreign.owner._replace(pid=foreign.owner.pid + 1)))
    assert not namesake.may_live(lease, second.killed)
    write(lease, foreign._replace(phase=Phase.FREE))
    assert not namesake.may_live(lease, None)
    lease.write_bytes(b"torn")
    assert namesake.may_live(lease, None)


def test_one_that_this_namespace_may_hide_is_not_taken_for_dead(
    lease: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Owner.of_this_process()
    write(lease, record_of(mine._replace(start=mine.start + 1)))
    seen = os.stat("/proc/self/ns/pid").st_ino
    monkeypatch.setattr(namesake, "_FIRST_PID_NAMESPACE", seen)
    assert not namesake.may_live(lease, None)
    monkeypatch.setattr(namesake, "_FIRST_PID_NAMESPACE", seen + 1)
    assert namesake.may_live(lease, None)


def test_a_first_lease_that_appears_while_it_watches_counts_from_its_second_change(
    lease: Path, foreign: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namesake, "LOOK_EVERY", 0.05)
    signals = Signals(ignore_hangup=False)
    try:
        with renewing(lease, foreign), pytest.raises(FeederError, match="another machine"):
            namesake.refuse(lease, 0.1, "here", signals)
    finally:
        signals.close()


def test_a_feeder_whose_local_state_was_removed_leaves_and_jobs_run_on(
    queue: Queue, feed: Feed, gate: Gate
) -> None:
    queue.submit(gate.command, cwd="/")
    feeder = feed()
    pid = becomes(queue, 1, State.RUNNING).pid
    assert pid is not None
    shutil.rmtree(queue.local_state)
    assert feeder.ends() == 1
    assert f"{queue.local_state}: its local state was removed: leaving, jobs run on" in feeder.log
    assert "Traceback" not in feeder.log
    assert not has_ended(pid)
    assert queue.job(1).state is State.RUNNING


def test_it_leaves_as_well_when_its_runner_is_gone_too(
    queue: Queue, feed: Feed, environment: dict[str, str]
) -> None:
    feeder = feed()
    runner = runner_pid(queue, environment)
    shutil.rmtree(queue.local_state)
    runner_is_gone(runner)
    assert feeder.ends() == 1
    assert "its local state was removed: leaving, jobs run on" in feeder.log
    assert "Traceback" not in feeder.log
    assert not queue.local_state.exists()


def test_one_that_was_removed_and_made_anew_is_another(tmp_path: Path) -> None:
    path = tmp_path / "rqpy-0" / "node-uuid"
    with LocalState(path) as state:
        assert state.is_in_place()
        path.rmdir()
        assert not state.is_in_place()
        with LocalState(path) as other:
            assert other.is_in_place()
            assert not state.is_in_place()


def test_a_note_of_another_feeder_is_left_alone(state_dir: Path) -> None:
    one = Single(state_dir, "/q")
    note = this_process(FeedOptions("/q"), node="here", since="", version="", log="")
    one.tell(replace(note, pid=1))
    one.close()
    assert (state_dir / "feeder.json").exists()
