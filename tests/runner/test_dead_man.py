"""The dead man's switch: restartable jobs end when the lease is in doubt, others never do."""

from __future__ import annotations

import signal
import time

from rq_py.runner import deadman
from rq_py.runner.deadman import DeadMan
from rq_py.runner.identity import boottime
from rq_py.runner.standstill import StandStill
from tests.runner.conftest import RunnerUnderTest
from tests.waiting import wait_until

FOR_EVER = "sleep 60"


def test_restartable_jobs_end_at_half_of_the_lease_and_others_run_on(runner: RunnerUnderTest) -> None:
    runner.feeder.renewed(600)
    restartable = runner.launch(FOR_EVER, restartable=True)
    other = runner.launch(FOR_EVER)
    begin = time.monotonic()
    runner.feeder.renewed(2)
    (ended,) = runner.wait_exits()
    assert time.monotonic() - begin >= 1
    assert (ended.key, ended.signal) == (restartable, signal.SIGTERM)
    assert [job.key for job in runner.feeder.running()] == [other]


def test_they_end_without_a_feeder_as_well(runner: RunnerUnderTest) -> None:
    key = runner.launch(FOR_EVER, restartable=True)
    runner.feeder.renewed(1)
    runner.disconnect()
    wait_until(lambda: runner.connect().exits)
    assert [ended.key for ended in runner.connect().exits] == [key]


def test_renewals_keep_them_alive_and_without_any_there_is_no_deadline(runner: RunnerUnderTest) -> None:
    key = runner.launch(FOR_EVER, restartable=True)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        runner.feeder.renewed(1.5)
        time.sleep(0.1)  # the time that passes is what is tested
    assert [job.key for job in runner.feeder.running()] == [key]


def test_what_does_not_end_by_sigterm_is_killed_at_the_end_of_the_lease(runner: RunnerUnderTest) -> None:
    runner.launch("trap '' TERM; while :; do sleep 0.1; done", restartable=True)
    begin = time.monotonic()
    runner.feeder.renewed(3)
    (ended,) = runner.wait_exits()
    assert ended.signal == signal.SIGKILL
    assert 3 <= time.monotonic() - begin < 3 + deadman.GRACE_SECONDS


def test_a_renewal_counts_from_its_own_time_and_never_backwards(runner: RunnerUnderTest) -> None:
    """A feeder that was frozen between the renewal and its report reports an old one."""
    key = runner.launch(FOR_EVER, restartable=True)
    runner.feeder.renewed(600)
    runner.feeder.renewed(600, at=boottime() - 1000)
    assert [job.key for job in runner.feeder.running()] == [key]
    switch = DeadMan(lambda _text: None, StandStill())
    switch.renew(10, at=100.0, now=200.0)
    assert switch.look(200.0)
    switch.renew(10, at=500.0, now=200.0)
    assert not switch.look(204.9)
    assert switch.look(205.0), "a time in the future counts as now"


def test_nothing_restartable_is_launched_while_the_lease_is_in_doubt(runner: RunnerUnderTest) -> None:
    runner.feeder.renewed(0)
    order = runner.order(":", restartable=True)
    assert runner.feeder.launch([order], 1).failed == [
        (order.key, "the node's lease was not renewed in time")
    ]
    runner.launch(":")
    runner.feeder.renewed(600)
    runner.launch(":", restartable=True)


def test_after_a_freeze_past_the_lease_everything_happens_at_once() -> None:
    switch = DeadMan(lambda _text: None, StandStill())
    switch.renew(10, at=0.0, now=0.0)
    assert switch.next_deadline(0.0, any_restartable=True) == deadman.LOOK_SECONDS
    assert switch.next_deadline(4.8, any_restartable=True) == 5.0
    assert switch.next_deadline(0.0, any_restartable=False) == float("inf")
    switch.tick(1000.0, list)
    assert not switch.busy
