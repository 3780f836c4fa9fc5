"""The page of the documents: machine, promises, plot, peers and a table for each case, from the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import results
from bench.case import Case
from bench.plot import Bar, Panel, kind_of, svg
from bench.results import Document
from bench.table import case_table, markdown, peer_table, promise_table

NAME = "benchmarks"

#: The cases of the plot and what stands above their panels.
PLOTTED = {
    "drain-sh": "Jobs a second, 2 slots, sh (logarithmic; more is better)",
    "drain-bash": "Jobs a second, 2 slots, bash (logarithmic; more is better)",
    "submit": "Milliseconds to submit one job (logarithmic; less is better)",
}

_ABOVE = """\
# Benchmarks

rq_py beside what people would use instead, and beside what the machine can do. `bin/bench` measures all of
this and writes this page, the plot and [the figures](benchmarks.yml); nothing here is edited by hand.

All contestants of a case take turns (A B A B ...), and medians are compared, because a machine that others
use as well drifts. Compare figures within a table only: the ratio counts, not the number. Another machine has
other figures, and mostly the same ratios.
"""


def publish(folder: Path, cases: Sequence[Case], document: Document) -> None:
    """Write figures, plot and page into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    results.save(folder / f"{NAME}.yml", document)
    panels = panels_of(document)
    if panels:
        (folder / f"{NAME}.svg").write_text(svg(panels), encoding="utf-8")
    text = "\n".join(lines_of(cases, document, has_plot=bool(panels))) + "\n"
    (folder / f"{NAME}.md").write_text(text, encoding="utf-8")


def panels_of(document: Document) -> list[Panel]:
    """The panels of the plot: whose cases were measured."""
    panels = []
    for name, title in PLOTTED.items():
        figures = document["cases"].get(name, {}).get("results", {})
        bars = []
        for contestant, metrics in figures.items():
            value = next(iter(metrics.values()))["median"]
            if value > 0:
                bars.append(Bar(contestant, value, kind_of(contestant, document["peers"])))
        if bars:
            panels.append(Panel(title, bars))
    return panels


def lines_of(cases: Sequence[Case], document: Document, *, has_plot: bool) -> Iterator[str]:
    """The page, line by line."""
    yield _ABOVE
    yield "## The machine\n"
    yield from markdown(("", ""), [(key, str(value)) for key, value in document["machine"].items()], left=2)
    yield "\n## What is promised\n"
    yield from promise_table(cases, document["cases"])
    if has_plot:
        yield f"\n## In one picture\n\n![rates and times of all who took part]({NAME}.svg)"
    yield "\n## Who took part\n"
    yield from peer_table(document["peers"], document["cases"].get("durability", {}))
    for case in cases:
        result = document["cases"].get(case.name)
        if result is not None:
            yield f"\n## {case.name}\n\n{result['title']}.\n"
            yield from case_table(case, result)
            loads = " to ".join(str(load) for load in result["load"])
            yield f"\nMeasured {result['measured']}, {result['rounds']} rounds, load average {loads}."
            yield from (f"{note}" for note in case.notes)
