"""What is written: tables, the plot, the page, and the file of results that later runs go into."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import page, results
from bench.case import Case, Metric, Promise
from bench.plot import LEFT, WIDTH, Bar, Panel, svg
from bench.results import Document
from bench.table import case_table, number, promise_table

CASE = Case(
    name="drain-sh",
    title="Drain",
    metrics=(Metric("rate", "jobs/s", more_is_better=True), Metric("mb", "MB")),
    contestants=lambda lab, stack: [],
    promises=(Promise("fast", "rqpy", "rate", least=1),),
    neighbour="xargs",
    notes=("A note.",),
)
MACHINE = {"cpu": "A CPU", "cores": 2, "kernel": "Linux 1", "file_system": "ext4", "fsync_ms": 1.0}


def figure(median: float, least: float, most: float, count: int = 3) -> dict[str, float]:
    return {"median": median, "least": least, "most": most, "count": count}


@pytest.fixture
def result() -> dict[str, Any]:
    """One case as it stands in the YAML."""
    return {
        "title": "Drain",
        "rounds": 3,
        "results": {
            "rqpy": {"rate": figure(1500.0, 1400.0, 1600.4), "mb": figure(27.25, 27, 28)},
            "xargs": {"rate": figure(2000.0, 1900.0, 2100.0)},
        },
        "missing": {"slurm": "no apt-get | here"},
        "promises": [
            {"promise": "fast", "value": 0.75, "limit": 1, "kept": False, "than": "xargs"},
            {"promise": "small", "not_measured": "nobody knows"},
        ],
        "measured": "2026-11-20",
        "load": [0.1, 0.9],
    }


@pytest.fixture
def document(result: dict[str, Any]) -> Document:
    """Results of a run."""
    common = {"title": "How", "note": "", "is_limit": False, "keeps": "", "version": "1"}
    peers = {
        "rqpy": {**common, "name": "rqpy", "keeps": "SQLite"},
        "xargs": {**common, "name": "xargs", "is_limit": True},
        "slurm": {
            "name": "slurm",
            "title": "S",
            "note": "",
            "is_limit": False,
            "keeps": "x",
            "missing": "gone",
        },
    }
    return {"machine": dict(MACHINE), "peers": peers, "cases": {"drain-sh": result}}


def test_a_table_has_medians_spread_ratio_and_who_is_missing(result: dict[str, Any]) -> None:
    assert case_table(CASE, result) == [
        "|  | jobs/s | least to most | x xargs | MB |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| rqpy | 1,500 | 1,400 to 1,600 | 0.75 | 27.2 |",
        "| xargs | 2,000 | 1,900 to 2,100 | 1.00 |  |",
        "- **slurm: not measured**: no apt-get | here",
    ]


def test_a_case_without_any_figures_says_so(result: dict[str, Any]) -> None:
    result["results"] = {}
    assert case_table(CASE, result) == ["- **slurm: not measured**: no apt-get | here"]


def test_promises_are_kept_missed_or_unknown(document: Document) -> None:
    assert promise_table([CASE], document["cases"])[2:] == [
        "| drain-sh | fast | 0.75 x xargs | **MISSED** |",
        "| drain-sh | small | nobody knows | NOT MEASURED |",
    ]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.123, 2, "0.12"), (1234.56, 2, "1,235"), (123.45, 2, "123.5"), (-3.14, 1, "-3.1"), (5, 0, "5")],
)
def test_numbers(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


def parsed(text: str) -> ElementTree.Element:
    """The plot as a tree."""
    return ElementTree.fromstring(text)  # noqa: S314  (it is our own)


def test_the_plot_is_xml_and_a_longer_bar_is_more() -> None:
    bars = [
        Bar("a <b>", 0.7, "rq_py"),
        Bar("c", 1800.0, "keeps its queue"),
        Bar("d", 42.0, "a limit, no queue"),
    ]
    root = parsed(svg([Panel("Rates & times", bars)]))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a <b>", "Rates & times", "1,800", "42.0", "0.7"} <= set(texts)
    rectangles = [element.attrib for element in root.iter("{http://www.w3.org/2000/svg}rect")]
    widths = [float(each["width"]) for each in rectangles if float(each["x"]) == LEFT]
    assert 0 < widths[0] < widths[2] < widths[1] < WIDTH - LEFT


@pytest.mark.parametrize("value", [1.0, 100.0, 0.001])
def test_a_bar_alone_has_a_length(value: float) -> None:
    root = parsed(svg([Panel("One", [Bar("a", value, "rq_py")])]))
    widths = [
        float(element.attrib["width"])
        for element in root.iter("{http://www.w3.org/2000/svg}rect")
        if float(element.attrib["x"]) == LEFT
    ]
    assert len(widths) == 1
    assert widths[0] > 0


def test_the_page_and_all_that_it_leads_to_are_written(tmp_path: Path, document: Document) -> None:
    page.publish(tmp_path, [CASE], document)
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert set(links) == {"benchmarks.yml", "benchmarks.svg"}
    assert all((tmp_path / link).is_file() for link in links)
    assert "| rqpy | 1,500 |" in text
    assert "**not here**: gone" in text
    assert "A note." in text
    assert "load average 0.1 to 0.9" in text


def test_a_later_run_goes_into_the_same_file_on_the_same_machine_only(
    tmp_path: Path, document: Document
) -> None:
    path = tmp_path / "r.yml"
    results.save(path, document)
    again = results.load(path, {**MACHINE, "fsync_ms": 2.0})
    assert again["cases"] == document["cases"]
    assert again["machine"]["fsync_ms"] == 2.0
    assert results.load(path, {**MACHINE, "cpu": "Another"})["cases"] == {}
    assert results.load(tmp_path / "none", MACHINE) == {"machine": MACHINE, "peers": {}, "cases": {}}
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.yml"]
