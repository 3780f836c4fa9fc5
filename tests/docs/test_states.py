"""Table and diagram of docs/explanation/states.md show the transitions of ``rq_py.job``."""

from __future__ import annotations

import re

from rq_py.job import TRANSITIONS, Reason, State
from tests.architecture.sources import REPOSITORY

TEXT = (REPOSITORY / "docs" / "explanation" / "states.md").read_text(encoding="utf-8")


def test_the_table_of_verbs() -> None:
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \| .* \|$", TEXT, re.MULTILINE)
    said = {(verb, State(before), State(after)) for verb, before, after in rows if verb != "verb"}
    assert said == {(verb, *step) for verb, steps in TRANSITIONS.items() for step in steps}


def test_the_diagram() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+): ", TEXT, re.MULTILINE))
    assert drawn == {(str(before), str(after)) for steps in TRANSITIONS.values() for before, after in steps}


def test_every_reason_is_explained() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| .* \| .* \|$", TEXT, re.MULTILINE)) == {
        str(reason) for reason in Reason
    }
