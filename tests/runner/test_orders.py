"""Orders that wait for a slot: when they are launched, what the feeder hears, and how they are dropped."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from rq_py.runner import server
from rq_py.runner.client import Key, Launch, LaunchResult
from rq_py.runner.identity import start_ticks
from tests.runner.conftest import BEGIN, RunnerUnderTest
from tests.waiting import wait_until

T = TypeVar("T")

FOR_EVER = "exec sleep 1000"


@pytest.fixture
def order() -> Callable[[str], Launch]:
    """Make an order that names no shell."""
    jids = itertools.count(1001)

    def make(script: str, *, restartable: bool = False) -> Launch:
        return Launch(None, Key(next(jids), 1, "0123456789abcdef.ahead"), restartable, BEGIN + script)

    return make


def hear(runner: RunnerUnderTest, take: Callable[[], list[T]]) -> list[T]:
    """Wait until the runner has told something that ``take`` returns."""

    def look() -> list[T]:
        assert runner.feeder.take_exits() == []
        return take()

    return wait_until(look)


def test_no_more_jobs_run_than_there_are_slots_and_each_runs_once_in_order(
    runner: RunnerUnderTest, order: Callable[[str], Launch], tmp_path: Path
) -> None:
    at_work, log = tmp_path / "at work", tmp_path / "log"
    orders = [
        order(f"mkdir '{at_work}' || exit 7; echo {number} >>'{log}'; rmdir '{at_work}'")
        for number in range(40)
    ]
    result = runner.feeder.launch(orders, 1)
    assert (result.launched, result.failed) == ([], [])
    assert set(result.waiting) == {one.key for one in orders}
    exits = runner.wait_exits(40)
    assert [ended.exit_status for ended in exits] == [0] * 40
    assert [ended.key for ended in exits] == [one.key for one in orders]
    assert log.read_text().split() == [str(number) for number in range(40)]


def test_an_order_waits_for_a_job_that_was_launched_by_name(
    runner: RunnerUnderTest, order: Callable[[str], Launch]
) -> None:
    running = runner.launch(FOR_EVER)
    waiting = order("exit 3")
    assert runner.feeder.launch([waiting], 1) == LaunchResult([], [], [waiting.key])
    assert [known.key for known in runner.feeder.running()] == [running]
    runner.feeder.kill(running, signal.SIGKILL)
    first, second = runner.wait_exits(2)
    assert (first.key, second.key, second.exit_status) == (running, waiting.key, 3)


def test_what_has_waited_and_runs_on_is_told_with_its_pid(
    runner: RunnerUnderTest, order: Callable[[str], Launch]
) -> None:
    waiting = order(FOR_EVER)
    runner.feeder.launch([waiting], 1)
    (begun,) = hear(runner, runner.feeder.take_begun)
    assert begun in runner.feeder.running()
    assert begun.key == waiting.key
    runner.launched.append((begun.pid, begun.start))
    assert runner.feeder.take_begun() == []


def test_withdrawn_orders_are_never_launched(
    runner: RunnerUnderTest, order: Callable[[str], Launch], tmp_path: Path
) -> None:
    running = runner.launch(FOR_EVER)
    orders = [order(f"touch '{tmp_path}/launched'") for _ in range(3)]
    runner.feeder.launch(orders, 1)
    assert runner.feeder.withdraw() == [one.key for one in orders]
    assert runner.feeder.withdraw() == []
    runner.feeder.kill(running, signal.SIGKILL)
    runner.wait_exits(1)
    runner.run(":")
    assert not (tmp_path / "launched").exists()


def test_nothing_more_is_launched_when_the_feeder_is_gone(
    runner: RunnerUnderTest, order: Callable[[str], Launch]
) -> None:
    running = runner.launch(FOR_EVER)
    runner.feeder.launch([order(":")], 1)
    runner.disconnect()
    wait_until(lambda: "gone" in runner.log())
    pid, start = runner.launched[-1]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: start_ticks(pid) != start)  # reaped: there is a free slot
    hello = runner.connect()
    assert [ended.key for ended in hello.exits] == [running]
    assert hello.running == []


@pytest.mark.parametrize("how", ["hello", "another feeder"])
def test_orders_go_with_the_feeder_that_gave_them(
    runner: RunnerUnderTest, order: Callable[[str], Launch], tmp_path: Path, how: str
) -> None:
    running = runner.launch(FOR_EVER)
    runner.feeder.launch([order(f"touch '{tmp_path}/launched'")], 1)
    hello = runner.feeder.hello(["sh"], {}) if how == "hello" else runner.connect()
    # What the next feeder concludes from: complete, and no trace of the order.
    assert hello.complete
    assert [known.key for known in hello.running] == [running]
    runner.feeder.kill(running, signal.SIGKILL)
    runner.wait_exits(1)
    runner.run(":")
    assert not (tmp_path / "launched").exists()


def test_an_order_that_is_killed_while_it_waits_is_refused(
    runner: RunnerUnderTest, order: Callable[[str], Launch]
) -> None:
    runner.launch(FOR_EVER)
    waiting = order(":")
    runner.feeder.launch([waiting], 1)
    assert runner.feeder.kill(waiting.key, signal.SIGTERM) == 0
    assert hear(runner, runner.feeder.take_refused) == [(waiting.key, "it was killed before its launch")]
    assert runner.feeder.withdraw() == []


def test_nothing_that_has_waited_is_launched_once_the_lease_is_in_doubt(
    runner: RunnerUnderTest, order: Callable[..., Launch]
) -> None:
    running = runner.launch(FOR_EVER)
    waiting, other = order(":", restartable=True), order(":")
    runner.feeder.launch([waiting, other], 1)
    runner.feeder.renewed(0.001)
    runner.feeder.kill(running, signal.SIGKILL)
    (ended,) = runner.wait_exits(1)
    assert ended.key == running
    why = "the node's lease was not renewed in time"
    refused: list[tuple[Key, str]] = []

    def are_both_told() -> bool:
        assert runner.feeder.take_exits() == []
        refused.extend(runner.feeder.take_refused())
        return len(refused) == 2

    wait_until(are_both_told)
    assert refused == [(waiting.key, why), (other.key, why)]


def test_nothing_that_waited_while_the_lease_was_in_doubt_is_launched_after_the_next_renewal(
    runner: RunnerUnderTest, order: Callable[..., Launch]
) -> None:
    """Found by tests/model/launch.pml (ORDERS_OUTLIVE_THE_LEASE)."""
    runner.launch(FOR_EVER)
    waiting = order(":", restartable=True)
    runner.feeder.launch([waiting], 1)
    runner.feeder.renewed(0)
    runner.feeder.renewed(600)
    why = "the node's lease was not renewed in time"
    assert hear(runner, runner.feeder.take_refused) == [(waiting.key, why)]
    assert runner.feeder.withdraw() == []


def test_the_same_attempt_is_taken_once(runner: RunnerUnderTest, order: Callable[[str], Launch]) -> None:
    runner.launch(FOR_EVER)
    waiting = order(":")
    result = runner.feeder.launch([waiting, waiting], 1)
    assert result.failed == [(waiting.key, "this attempt waits already")]
    assert runner.feeder.withdraw() == [waiting.key]


def test_where_no_shell_can_be_started_an_order_is_refused(
    runner: RunnerUnderTest, order: Callable[[str], Launch], tmp_path: Path
) -> None:
    shell = tmp_path / "shell"
    shell.symlink_to("/bin/sh")
    runner.connect(str(shell))
    shell.unlink()
    waiting = order(":")
    runner.feeder.launch([waiting], 1)
    ((key, why),) = hear(runner, runner.feeder.take_refused)
    assert key == waiting.key
    assert "no shell can be started" in why


def test_news_is_gathered_while_orders_are_plenty_and_not_held_back_for_long(
    runner: RunnerUnderTest, order: Callable[[str], Launch]
) -> None:
    first = order(":")
    runner.feeder.launch([first, *(order(FOR_EVER) for _ in range(5))], 1)
    (ended,) = runner.wait_exits(1)
    assert ended.key == first.key
    assert server.GATHER_SECONDS < 1
    wait_until(runner.feeder.running)
    runner.launched += [(known.pid, known.start) for known in runner.feeder.running()]
