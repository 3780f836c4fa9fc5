"""Results as Markdown tables: one for each case, one of all promises, one of the peers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.case import Case, Metric


def number(value: float, digits: int) -> str:
    """A figure for people: separated thousands, fewer digits for large ones."""
    if abs(value) >= 1000:
        digits = 0
    elif abs(value) >= 100:
        digits = min(digits, 1)
    return f"{value:,.{digits}f}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    """The lines of a table; the first ``left`` columns are aligned to the left, the others to the right."""
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join(['---'] * left + ['---:'] * (len(head) - left))} |"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def case_table(case: Case, result: Mapping[str, Any]) -> list[str]:
    """A case: a row for each contestant with medians, the spread of the first metric, and the ratio."""
    metrics = [
        metric for metric in case.metrics if any(metric.name in row for row in result["results"].values())
    ]
    neighbour = result["results"].get(case.neighbour, {}).get(metrics[0].name) if metrics else None
    titles = [metric.title for metric in metrics]
    head = ["", *titles[:1], "least to most", *([f"x {case.neighbour}"] if neighbour else []), *titles[1:]]
    rows = []
    for name, figures in result["results"].items():
        first = figures.get(metrics[0].name)
        medians = [_median(figures, metric) for metric in metrics]
        row = [name, medians[0], _spread(first, metrics[0])]
        if neighbour:
            row.append(f"{first['median'] / neighbour['median']:.2f}" if first else "")
        rows.append(row + medians[1:])
    lines = list(markdown(head, rows)) if rows else []
    return lines + [f"- **{name}: not measured**: {reason}" for name, reason in _missing(result, bool(rows))]


def _missing(result: Mapping[str, Any], below: bool) -> Iterator[tuple[str, str]]:
    missing = result.get("missing", {})
    yield from missing.items()
    if not missing and not below:
        yield "nobody", "there was nobody to measure"


def _median(figures: Mapping[str, Any], metric: Metric) -> str:
    return number(figures[metric.name]["median"], metric.digits) if metric.name in figures else ""


def _spread(figure: Mapping[str, float] | None, metric: Metric) -> str:
    if figure is None or figure["count"] == 1:
        return ""
    return f"{number(figure['least'], metric.digits)} to {number(figure['most'], metric.digits)}"


def promise_table(cases: Sequence[Case], results: Mapping[str, Any]) -> list[str]:
    """All promises of the cases, kept or not."""
    rows = []
    for case in cases:
        for promise in results.get(case.name, {}).get("promises", []):
            rows.append((case.name, promise["promise"], value_text(promise), word(promise)))
    return list(markdown(("case", "promise", "measured", ""), rows, left=2))


def value_text(promise: Mapping[str, Any]) -> str:
    """What was measured for a promise, and beside whom."""
    if "not_measured" in promise:
        return str(promise["not_measured"])
    than = promise.get("than")
    value = number(promise["value"], 2)
    return f"{value} x {than}" if than else value


def word(promise: Mapping[str, Any]) -> str:
    """OK, MISSED, or that nobody knows."""
    if "not_measured" in promise:
        return "NOT MEASURED"
    return "OK" if promise["kept"] else "**MISSED**"


def peer_table(peers: Mapping[str, Any], durability: Mapping[str, Any]) -> list[str]:
    """Who took part: version, whether the queue outlives a loss of power, and the calls of fsync."""
    rows = []
    for peer in peers.values():
        figures = durability.get("results", {}).get(peer["name"], {})
        job, submit = (_syncs(figures, metric) for metric in ("syncs_per_job", "syncs_per_submit"))
        keeps = "no queue" if peer["is_limit"] else peer["keeps"] or "no"
        version = f"**not here**: {peer['missing']}" if "missing" in peer else peer["version"]
        rows.append((peer["name"], peer["title"], version, keeps, job, submit, peer["note"]))
    head = ("", "how", "version", "keeps its queue", "fsyncs a job", "fsyncs a submit", "note")
    return list(markdown(head, rows, left=len(head)))


def _syncs(figures: Mapping[str, Any], metric: str) -> str:
    return number(figures[metric]["median"], 2) if metric in figures else ""
