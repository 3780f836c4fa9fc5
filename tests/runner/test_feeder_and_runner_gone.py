"""The feeder goes, the runner goes, or both: nothing that is known about a job is lost."""

from __future__ import annotations

import os
import select
import signal
import socket
from pathlib import Path

import pytest

from rq_py.errors import RunnerGone
from rq_py.runner.client import Key, RunnerClient
from rq_py.runner.identity import is_alive
from tests.runner.conftest import RunnerUnderTest, raw_connection
from tests.waiting import wait_until


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def test_exits_are_offered_until_they_are_confirmed(runner: RunnerUnderTest) -> None:
    ended = runner.run("exit 3")
    assert runner.connect().exits == [ended]
    assert runner.connect().exits == [ended]
    runner.feeder.confirm([ended.key])
    assert runner.connect().exits == []


def test_an_exit_while_no_feeder_is_there_is_offered_by_the_next_runner_too(runner: RunnerUnderTest) -> None:
    key = runner.launch("exit 5")
    runner.disconnect()
    runner.wait_end()  # it ends by itself, without feeder and job
    runner.start()
    (ended,) = runner.connect().exits
    assert (ended.key, ended.exit_status) == (key, 5)


def test_a_killed_runner_leaves_its_jobs_as_orphans_to_the_next_one(
    runner: RunnerUnderTest, tmp_path: Path
) -> None:
    go_on = fifo(tmp_path / "fifo")
    key = runner.launch(f"read -r x <'{go_on}'", restartable=True)
    before = runner.connect()
    runner.kill()
    with pytest.raises(RunnerGone):
        runner.feeder.running()
    runner.start()
    hello = runner.connect()
    (orphan,) = hello.orphans
    assert (orphan.key, orphan.restartable) == (key, True)
    assert (orphan.pid, orphan.start) == runner.launched[0]
    assert is_alive(orphan.pid, orphan.start)
    assert (hello.journal, hello.running, hello.exits) == (before.journal, [], [])
    runner.feeder.confirm([key])
    assert runner.connect().orphans == []


def test_a_last_exit_of_a_killed_runner_is_taken_and_its_end_wakes_the_next_wait(
    runner: RunnerUnderTest, tmp_path: Path
) -> None:
    """Found in the NFS lab: the feeder waited on a descriptor that was closed."""
    go_on = fifo(tmp_path / "fifo")
    key = runner.launch(f"read -r x <'{go_on}'")
    go_on.write_text("x\n")  # not before the launch was answered, whose reader would keep the exit
    assert select.select([runner.feeder], [], [], 15)[0], "the exit is pushed"
    runner.kill()
    assert [ended.key for ended in runner.feeder.take_exits()] == [key]
    assert select.select([runner.feeder], [], [], 15)[0]
    with pytest.raises(RunnerGone):
        runner.feeder.take_exits()


def test_a_new_feeder_takes_the_place_of_the_old_one(runner: RunnerUnderTest) -> None:
    old = runner.feeder
    new = RunnerClient.connect(runner.state_dir)
    new.hello(["sh"], os.environ)
    with pytest.raises(RunnerGone):
        old.running()
    new.close()


def test_a_feeder_that_does_not_read_is_dropped_and_loses_nothing(runner: RunnerUnderTest) -> None:
    key = runner.launch("sleep 0.2")
    with raw_connection(runner.state_dir) as deaf:
        hello = b'{"do":"hello","id":1,"protocol":2,"shell":["/bin/sh"],"env":{}}\n'
        deaf.sendall(hello)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            deaf.sendall(hello * 100_000)
    assert "does not read" in runner.log()
    hello_again = runner.connect()
    if not hello_again.exits:
        runner.wait_exits()
    assert [ended.key for ended in runner.connect().exits] == [key]


def test_many_unconfirmed_exits_are_all_offered(runner: RunnerUnderTest) -> None:
    count = 620  # more than fit into the answer to a hello
    keys: list[Key] = []
    while len(keys) < count:
        keys.append(runner.launch(":"))
        if len(keys) % 20 == 0:
            runner.wait_exits(20)
    first = runner.connect().exits
    assert len(first) == 500
    assert {ended.key for ended in first + runner.wait_exits(count - 500)} == set(keys)


def test_term_ends_an_idle_runner_but_not_one_with_jobs(runner: RunnerUnderTest, tmp_path: Path) -> None:
    go_on = fifo(tmp_path / "fifo")
    runner.launch(f"read -r x <'{go_on}'")
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(runner.pid, signum)
    wait_until(lambda: "SIGTERM does not end the runner" in runner.log())
    assert len(runner.feeder.running()) == 1
    go_on.write_text("\n")
    runner.wait_exits()
    os.kill(runner.pid, signal.SIGTERM)
    assert runner.wait_end() == 0
    with pytest.raises(RunnerGone):
        runner.feeder.running()


def test_a_dead_socket_is_nobody(state_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(state_dir / "runner.sock"))
    with pytest.raises(RunnerGone, match="no runner listens"):
        RunnerClient.connect(state_dir)
