"""The YAML of results: machine facts, peers, cases; a later run of some cases goes into the same file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

#: What must be the same for figures to stand in one file: those of another machine would mislead.
SAME = ("cpu", "cores", "kernel", "file_system")

#: A document of results, as it stands in the YAML: machine, peers, cases.
Document = dict[str, Any]


def load(path: Path, machine: Mapping[str, object]) -> Document:
    """The document to go on with: that of ``path`` if it is of this machine, else an empty one."""
    fresh: Document = {"machine": dict(machine), "peers": {}, "cases": {}}
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return fresh
    if not isinstance(document, dict) or any(document["machine"].get(key) != machine[key] for key in SAME):
        return fresh
    return {**document, "machine": dict(machine)}


def save(path: Path, document: Document) -> None:
    """Write the document in one go."""
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text("# Written by bin/bench: see benchmarks.md\n" + text, encoding="utf-8")
    draft.replace(path)
