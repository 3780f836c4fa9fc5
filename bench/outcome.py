"""What came out of a case: statistics of each contestant, ratios to the neighbour, promises kept or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.case import Case, Promise
from bench.statistic import Statistic, significant


@dataclass(frozen=True)
class Verdict:
    """What became of a promise. ``value`` is None where it could not be measured, and ``why`` says why.

    ``than`` is the contestant with which it was compared, '' for none.
    """

    promise: Promise
    value: float | None
    than: str = ""
    why: str = ""

    @property
    def is_kept(self) -> bool | None:
        """Whether it was kept; None where nobody knows."""
        if self.value is None:
            return None
        promise = self.promise
        return (promise.least is None or self.value >= promise.least) and (
            promise.most is None or self.value <= promise.most
        )


@dataclass
class Outcome:
    """The results of one case: contestant -> metric -> statistic, and why some contestants are missing."""

    case: Case
    rounds: int
    figures: dict[str, dict[str, Statistic]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def median(self, contestant: str, metric: str) -> float | None:
        """The median of a figure, None where it was not measured."""
        statistic = self.figures.get(contestant, {}).get(metric)
        return None if statistic is None else statistic.median

    def ratio(self, contestant: str) -> float | None:
        """The first metric's median, divided by that of the case's neighbour; None where there is none."""
        metric = self.case.metrics[0].name
        mine, others = self.median(contestant, metric), self.median(self.case.neighbour, metric)
        return mine / others if mine is not None and others else None

    def verdicts(self) -> list[Verdict]:
        """What became of the case's promises, in order."""
        return [self._verdict(promise) for promise in self.case.promises]

    def _verdict(self, promise: Promise) -> Verdict:
        mine = self.median(promise.of, promise.metric)
        if mine is None:
            return Verdict(promise, None, why=self.missing.get(promise.of, f"{promise.of} was not measured"))
        if not promise.than:
            return Verdict(promise, mine)
        measured = {name: self.median(name, promise.metric) for name in promise.than}
        others = {name: value for name, value in measured.items() if value}
        if not others:
            return Verdict(promise, None, why=f"not measured: {', '.join(promise.than)}")
        # The best of the others: with a lower limit more is better, with an upper one less.
        best = (max if promise.least is not None else min)(others, key=lambda name: others[name])
        return Verdict(promise, mine / others[best], than=best)

    def document(self) -> dict[str, object]:
        """The results as they stand in the YAML."""
        promises = []
        for verdict in self.verdicts():
            entry: dict[str, object] = {"promise": verdict.promise.text}
            if verdict.value is None:
                entry["not_measured"] = verdict.why
            else:
                limit = verdict.promise.most if verdict.promise.least is None else verdict.promise.least
                entry |= {"value": significant(verdict.value), "limit": limit, "kept": verdict.is_kept}
                entry |= {"than": verdict.than} if verdict.than else {}
            promises.append(entry)
        document: dict[str, object] = {
            "title": self.case.title,
            "rounds": self.rounds,
            "results": {name: _rounded(figures) for name, figures in self.figures.items()},
        }
        if self.missing:
            document["missing"] = dict(self.missing)
        if promises:
            document["promises"] = promises
        return document


def _rounded(figures: Mapping[str, Statistic]) -> dict[str, object]:
    return {
        name: {
            "median": significant(statistic.median),
            "least": significant(statistic.least),
            "most": significant(statistic.most),
            "count": statistic.count,
        }
        for name, statistic in figures.items()
    }
