"""The slots of a feeder: never more than the runner has shells."""

from __future__ import annotations

from typing import cast

from rq_py.feeder.slots import Slots
from rq_py.runner.client import RunnerClient, Shell
from rq_py.runner.shells import MAX_SHELLS


class _Asked:
    def __init__(self) -> None:
        self.counts: list[int] = []

    def ready(self, count: int) -> list[Shell]:
        self.counts.append(count)
        return []


def test_no_more_shells_are_asked_for_than_a_runner_has() -> None:
    runner = _Asked()
    for slots in (Slots(MAX_SHELLS + 1), Slots(10**6), Slots(2)):
        slots.shells(cast(RunnerClient, runner))
    assert runner.counts == [MAX_SHELLS, MAX_SHELLS, 2]
