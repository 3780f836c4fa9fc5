"""Every relative link in README, CHANGELOG and docs/ leads to a file, and to a heading where it names one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.sources import REPOSITORY

DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def headings(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+\s+(.*?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_links_of(path: Path) -> None:
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        leads_to = path.parent / name if name else path
        if not leads_to.exists() or (anchor and anchor not in headings(leads_to)):
            broken.append(target)
    assert broken == []


def test_every_document_is_in_the_index() -> None:
    for folder, kept_apart in ((REPOSITORY / "docs", "decisions/0"), (REPOSITORY / "docs" / "decisions", "")):
        index = (folder / "README.md").read_text(encoding="utf-8")
        listed = set(re.findall(r"\]\(([^)#\s]+)", index))
        there = {str(path.relative_to(folder)) for path in folder.rglob("*.md")} - {"README.md"}
        assert {name for name in there - listed if not (kept_apart and name.startswith(kept_apart))} == set()


def test_the_architecture_names_every_part_of_the_house() -> None:
    text = (REPOSITORY / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    named = {re.sub(r"/$|\.py$", "", name) for name in re.findall(r"`([\w./]+)`", text)}
    parts = {path.stem for path in (REPOSITORY / "rq_py").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert {part for part in parts if not part.startswith("_")} - named == set()
