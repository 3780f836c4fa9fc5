"""A machine that stood still, its clocks too: the hardware clock tells the dead man's switch.

A real stand-still, of a virtual machine with real jobs, is tests/nfs/scenarios/pause.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rq_py.runner.deadman import LOOK_SECONDS, DeadMan
from rq_py.runner.processes import Tree
from rq_py.runner.standstill import StandStill


class Machine:
    """Three clocks, of which a file holds the hardware's as the kernel does."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.hardware, self.boottime, self.wall = 1_000_000.0, 5_000.0, 1_000_000.4
        monkeypatch.setattr(time, "time", lambda: self.wall)
        self.passes(0)

    def passes(self, seconds: float, *, hardware: float = 0.0, wall: float = 0.0) -> float:
        """All clocks go on by ``seconds``, single ones further; returns CLOCK_BOOTTIME."""
        self.hardware += seconds + hardware
        self.wall += seconds + wall
        self.boottime += seconds
        self.path.write_text(f"{self.hardware:.0f}\n")
        return self.boottime


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path / "since_epoch", monkeypatch)


@pytest.fixture
def stand_still(machine: Machine) -> StandStill:
    watch = StandStill(machine.path)
    assert watch.look(machine.boottime) == 0
    return watch


def test_time_that_only_the_hardware_clock_saw_is_found_once(
    machine: Machine, stand_still: StandStill
) -> None:
    assert stand_still.look(machine.passes(0.5, hardware=40)) == pytest.approx(40, abs=1)
    assert stand_still.look(machine.passes(0.5)) == 0


def test_a_guest_whose_clock_is_put_right_as_it_wakes_up_is_found_as_well(
    machine: Machine, stand_still: StandStill
) -> None:
    assert stand_still.look(machine.passes(0.5, hardware=40, wall=40)) == pytest.approx(40, abs=1)


@pytest.mark.parametrize(
    ("seconds", "hardware", "wall"),
    [
        (0.5, 0, 0),
        (0.5, 1.4, 0),  # whole seconds
        (3600, 2.5, 0),  # an hour of drift
        (100_000, 0, 0),  # asleep: CLOCK_BOOTTIME counts that
        (0.5, 0, 86_400),  # the system's clock was stepped
        (0.5, 0, -86_400),
        (0.5, -40, 0),
    ],
)
def test_nothing_else_is_taken_for_a_stand_still(
    machine: Machine, stand_still: StandStill, seconds: float, hardware: float, wall: float
) -> None:
    assert stand_still.look(machine.passes(seconds, hardware=hardware, wall=wall)) == 0


def test_the_hardware_clock_may_be_set_by_the_system_clock(machine: Machine, stand_still: StandStill) -> None:
    """The kernel does so every eleven minutes where the time is synchronised."""
    assert stand_still.look(machine.passes(60, wall=86_400)) == 0
    assert stand_still.look(machine.passes(60, hardware=86_400)) == 0


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set the time zone of this process, as tzset(3) reads it."""

    def be_in(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield be_in
    monkeypatch.undo()
    time.tzset()


def test_a_hardware_clock_in_local_time_may_be_set_for_summer(
    machine: Machine, stand_still: StandStill, zone: Callable[[str], None]
) -> None:
    zone("CET-1CEST,J1/0,J365/0")  # it is summer all the year
    assert stand_still.look(machine.passes(60, hardware=3600)) == pytest.approx(3600, abs=1), (
        "the clock agrees with no time of this zone"
    )
    assert stand_still.look(machine.passes(60, hardware=3600)) == 0


@pytest.mark.parametrize("name", ["UTC0", "CET-1"])
@pytest.mark.parametrize("seconds", [900, 1800, 7200])
def test_a_pause_of_whole_quarter_hours_is_found_all_the_same(
    machine: Machine, stand_still: StandStill, zone: Callable[[str], None], name: str, seconds: float
) -> None:
    zone(name)
    assert stand_still.look(machine.passes(60, hardware=seconds)) == pytest.approx(seconds, abs=1)


def test_without_a_hardware_clock_nothing_is_known(machine: Machine, stand_still: StandStill) -> None:
    machine.path.unlink()
    assert stand_still.look(machine.boottime + 1) == 0
    assert stand_still.look(machine.passes(1, hardware=50)) == 0, (
        "it came back: there is nothing to compare with"
    )


def test_the_switch_counts_the_time_that_the_machine_stood_still(machine: Machine) -> None:
    said: list[str] = []
    switch = DeadMan(said.append, StandStill(machine.path))
    before = machine.boottime
    switch.renew(60, at=before, now=before)
    assert not switch.look(before)
    now = machine.passes(LOOK_SECONDS, hardware=31)
    assert switch.look(now)
    assert len(said) == 1
    assert "this machine stood still for 3" in said[0]
    assert "set both of them forward" in said[0], "which nothing tells from it"
    switch.renew(60, at=before + 0.1, now=now)
    assert switch.look(now), "that renewal is from before it stood still"
    switch.renew(60, at=now, now=now)
    assert not switch.look(now)
    assert switch.next_deadline(now, any_restartable=True) < math.inf


def test_every_round_of_the_runner_looks_by_itself(machine: Machine) -> None:
    switch = DeadMan(lambda _text: None, StandStill(machine.path))
    rounds: list[str] = []

    def restartable() -> list[Tree]:
        rounds.append("they are to end")
        return []

    switch.renew(60, at=machine.boottime, now=machine.boottime)
    switch.tick(machine.boottime, restartable)
    assert rounds == []
    switch.tick(machine.passes(LOOK_SECONDS, hardware=31), restartable)
    assert rounds == ["they are to end"]


def test_a_renewal_heard_before_the_look_does_not_hide_the_stand_still(machine: Machine) -> None:
    switch = DeadMan(lambda _text: None, StandStill(machine.path))
    switch.renew(60, at=machine.boottime, now=machine.boottime)
    assert not switch.look(machine.boottime)
    now = machine.passes(LOOK_SECONDS / 2, hardware=31)
    switch.renew(60, at=now, now=now)
    assert switch.look(machine.passes(LOOK_SECONDS / 2))
