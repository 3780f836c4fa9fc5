"""Promises: kept, missed or not measured, alone and beside the best of the others."""

from __future__ import annotations

import pytest

from bench.case import Case, Metric, Promise
from bench.cases.everything import CASES
from bench.outcome import Outcome, Verdict
from bench.statistic import Statistic


def verdict(promise: Promise, medians: dict[str, float], missing: dict[str, str] | None = None) -> Verdict:
    """What becomes of a promise with these medians of the one metric."""
    case = Case("c", "A case", (Metric("m", "m"),), lambda lab, stack: [], promises=(promise,))
    figures = {name: {"m": Statistic.of([value])} for name, value in medians.items()}
    (result,) = Outcome(case, 1, figures, missing or {}).verdicts()
    return result


@pytest.mark.parametrize(("value", "is_kept"), [(9.9, True), (10.0, True), (10.1, False)])
def test_an_upper_limit(value: float, is_kept: bool) -> None:
    assert verdict(Promise("p", "a", "m", most=10), {"a": value}).is_kept is is_kept


@pytest.mark.parametrize(("value", "is_kept"), [(9.9, False), (10.0, True), (10.1, True)])
def test_a_lower_limit(value: float, is_kept: bool) -> None:
    assert verdict(Promise("p", "a", "m", least=10), {"a": value}).is_kept is is_kept


def test_faster_than_all_means_the_fastest_of_those_who_were_there() -> None:
    promise = Promise("p", "a", "m", ("slow", "fast", "absent"), least=1)
    result = verdict(promise, {"a": 30.0, "slow": 10.0, "fast": 40.0})
    assert (result.than, result.value, result.is_kept) == ("fast", 0.75, False)


def test_at_most_so_long_as_the_others_means_the_shortest() -> None:
    promise = Promise("p", "a", "m", ("x", "y"), most=1.4)
    result = verdict(promise, {"a": 30.0, "x": 20.0, "y": 25.0})
    assert (result.than, result.value, result.is_kept) == ("x", 1.5, False)


def test_nothing_is_kept_that_was_not_measured() -> None:
    promise = Promise("p", "a", "m", ("x",), least=1)
    absent = verdict(promise, {"x": 1.0}, {"a": "cannot run here"})
    assert (absent.value, absent.is_kept, absent.why) == (None, None, "cannot run here")
    alone = verdict(promise, {"a": 1.0})
    assert (alone.value, alone.is_kept, alone.why) == (None, None, "not measured: x")


def test_the_document_tells_value_limit_and_beside_whom() -> None:
    promises = (Promise("p", "a", "m", ("x",), least=0.75), Promise("q", "b", "m", most=1))
    case = Case("c", "A case", (Metric("m", "m"),), lambda lab, stack: [], promises=promises)
    outcome = Outcome(case, 2, {"a": {"m": Statistic.of([3.0, 5.0])}, "x": {"m": Statistic.of([5.0])}})
    assert outcome.document() == {
        "title": "A case",
        "rounds": 2,
        "results": {
            "a": {"m": {"median": 4.0, "least": 3.0, "most": 5.0, "count": 2}},
            "x": {"m": {"median": 5.0, "least": 5.0, "most": 5.0, "count": 1}},
        },
        "promises": [
            {"promise": "p", "value": 0.8, "limit": 0.75, "kept": True, "than": "x"},
            {"promise": "q", "not_measured": "b was not measured"},
        ],
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_every_promise_is_about_a_metric_of_its_case_and_has_one_limit(case: Case) -> None:
    for promise in case.promises:
        assert promise.metric in {metric.name for metric in case.metrics}
        assert (promise.least is None) != (promise.most is None)


def test_cases_have_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
