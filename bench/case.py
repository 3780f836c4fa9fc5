"""What a case is: contestants that take turns, what is measured of them, and what is promised."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.lab import Lab


class CannotRun(Exception):
    """A contestant cannot be measured here; the text is the reason, one line for people."""


#: What a contestant may fail with, without ending the whole run.
FAILURES = (CannotRun, OSError, subprocess.SubprocessError)


@dataclass(frozen=True)
class Metric:
    """One figure of a contestant: ``name`` in the YAML, ``title`` (with its unit) above a column."""

    name: str
    title: str
    digits: int = 1
    more_is_better: bool = False


@dataclass(frozen=True)
class Contestant:
    """Somebody who takes part: ``measure`` is called once a round and returns a figure for each metric.

    It raises CannotRun where the measurement is not possible, and takes no part any more then.
    """

    name: str
    measure: Callable[[], Mapping[str, float]]


def absent(name: str, reason: Exception) -> Contestant:
    """A contestant that could not even be set up; it says so when it is its turn."""

    def measure() -> Mapping[str, float]:
        raise CannotRun(str(reason)) from reason

    return Contestant(name, measure)


@dataclass(frozen=True)
class Promise:
    """What is promised of the median of ``metric`` of contestant ``of``.

    It is divided by the median of the best of ``than`` that was measured; without ``than`` it counts as it
    is. ``least`` or ``most`` is the limit, which is kept as well as not when it is only just reached.
    """

    text: str
    of: str
    metric: str
    than: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Case:
    """One table of the report.

    ``contestants`` makes them, with what they need until the end of the case on the ExitStack.
    ``neighbour`` is the contestant to whom the first metric of all others is put in relation, '' for none.
    ``rounds`` are those of a full run and of a short one; a case with 0 short rounds is not in a short run.
    """

    name: str
    title: str
    metrics: tuple[Metric, ...]
    contestants: Callable[[Lab, ExitStack], list[Contestant]]
    promises: tuple[Promise, ...] = ()
    neighbour: str = ""
    rounds: int = 5
    short_rounds: int = 3
    notes: tuple[str, ...] = field(default=())
