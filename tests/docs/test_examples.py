"""The examples in README and docs/ run, and print what is written there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import REPOSITORY
from tests.conftest import node_of_ones_own
from tests.docs.console import NODE, examples_of, run, verdict
from tests.docs.console import Example as Shown

DOCUMENTS = [
    path
    for path in sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")])
    if path.exists() and list(examples_of(path.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_examples_of(path: Path, tmp_path: Path) -> None:
    programs, home, folder = tmp_path / "bin", tmp_path / "home", tmp_path / "demo"
    for made in (programs, home, folder):
        made.mkdir()
    (programs / "rqpy").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m rq_py "$@"\n')
    (programs / "rqpy").chmod(0o755)
    with node_of_ones_own(NODE) as node:
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "RQ_NODE": node,
        }
        examples = list(examples_of(path.read_text(encoding="utf-8")))
        wrong = [
            f"{path.name}:{example.line}: {example.command}\n{problem}"
            for example, problem in run(examples, folder, environment)
            if problem
        ]
    assert not wrong, "\n\n".join(wrong)


def test_the_readme_and_the_quickstart_have_examples() -> None:
    names = {str(path.relative_to(REPOSITORY)) for path in DOCUMENTS}
    assert {"README.md", "docs/quickstart.md"} <= names


def test_an_example_that_prints_something_else_is_reported() -> None:
    shown = Shown(1, "true", ["a", "...", "pid: 7", "b ... c"])
    assert verdict(shown, "a\nx\ny\npid: 12\nb 1 2 c\n", 0) == ""
    assert verdict(shown, "a\npid: 12\nb  c\n", 0) == ""
    assert "instead of" in verdict(shown, "a\nx\npid: 12\nb c d\n", 0)
    assert "instead of" in verdict(shown, "x\na\npid: 12\nb 1 c\n", 0)


def test_blocks_commands_and_programs_are_found() -> None:
    text = "\n".join(
        [
            *("```console", "$ a", "1", "$ b <<E", "> c", "> E", "", "2", "```"),
            *("```python", "x = 1", "```", "```text", "$ no", "```", "```console", "$ d", "```"),
        ]
    )
    assert [(example.command, example.expected) for example in examples_of(text)] == [
        ("a", ["1"]),
        ("b <<E\nc\nE", ["", "2"]),
        ("x = 1\n", None),
        ("d", []),
    ]
