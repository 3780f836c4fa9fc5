"""Who has a turn when, what many turns come to, and what becomes of one who cannot go on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping

import pytest

from bench.case import CannotRun, Case, Contestant, Metric
from bench.outcome import Outcome
from bench.statistic import Statistic, percentile, significant
from bench.turns import take_turns

CASE = Case("c", "A case", (Metric("rate", "jobs/s"),), lambda lab, stack: [], neighbour="b")


def giving(order: list[str], name: str, values: Iterator[float | Exception]) -> Contestant:
    """A contestant that notes its turns and gives these values, or raises them."""

    def measure() -> Mapping[str, float]:
        order.append(name)
        value = next(values)
        if isinstance(value, Exception):
            raise value
        return {"rate": value}

    return Contestant(name, measure)


def nobody(line: str) -> None:
    raise AssertionError(line)


def test_all_take_turns_and_the_medians_count() -> None:
    order: list[str] = []
    a = giving(order, "a", iter([5.0, 100.0, 7.0]))
    b = giving(order, "b", iter([2.0, 2.5, 1.0]))
    outcome = take_turns(CASE, [a, b], 3, nobody)
    assert order == ["a", "b"] * 3
    assert outcome.figures["a"]["rate"] == Statistic(7.0, 5.0, 100.0, 3)
    assert outcome.median("b", "rate") == 2.0
    assert outcome.ratio("a") == 3.5
    assert outcome.ratio("b") == 1.0


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (CannotRun("no such thing\nhere"), "no such thing here"),
        (subprocess.CalledProcessError(3, ["x"], stderr="it is\nbroken"), "it is broken"),
        (OSError(2, "gone"), "gone"),
    ],
)
def test_one_who_cannot_go_on_is_told_and_has_no_figures(failure: Exception, reason: str) -> None:
    order: list[str] = []
    told: list[str] = []
    a = giving(order, "a", iter([1.0, failure]))
    b = giving(order, "b", iter([2.0, 2.0, 2.0]))
    outcome = take_turns(CASE, [a, b], 3, told.append)
    assert order == ["a", "b", "a", "b", "b"]
    assert list(outcome.figures) == ["b"]
    assert reason in outcome.missing["a"]
    assert len(told) == 1
    assert reason in told[0]
    assert "MISSING" in told[0]


def test_a_mistake_of_ours_is_not_somebody_elses_failure() -> None:
    a = giving([], "a", iter([ValueError("a bug")]))
    with pytest.raises(ValueError, match="a bug"):
        take_turns(CASE, [a], 1, nobody)


def test_an_outcome_without_the_neighbour_has_no_ratio() -> None:
    outcome = Outcome(CASE, 1, {"a": {"rate": Statistic.of([3.0])}})
    assert outcome.ratio("a") is None
    assert outcome.ratio("nobody") is None


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)]
)
def test_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == expected


@pytest.mark.parametrize("function", [lambda: percentile([7.0], 0.99), lambda: Statistic.of([7.0]).median])
def test_one_value_is_all_there_is(function: Callable[[], float]) -> None:
    assert function() == 7.0


@pytest.mark.parametrize(
    ("value", "expected"), [(1234.567, 1235.0), (0.00123456, 0.001235), (0.0, 0.0), (-98765.4, -98770.0)]
)
def test_four_significant_digits(value: float, expected: float) -> None:
    assert significant(value) == pytest.approx(expected, rel=1e-12)
