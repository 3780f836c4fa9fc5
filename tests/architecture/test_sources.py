"""How the project's files look: names, sizes, first lines, and what may stand in which folder."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGE, REPOSITORY, imported, modules, project_files, short, tree

EVERYTHING = modules("rq_py", "tests")
LONGEST = 350  # lines; the design says to split at about 300


@pytest.mark.parametrize("path", EVERYTHING, ids=short)
def test_the_first_line_says_what_the_module_is_for(path: Path) -> None:
    first = tree(path).body[0]
    assert ast.get_docstring(tree(path)), "no docstring"
    assert first.lineno == 1, "the docstring is not on the first line"


@pytest.mark.parametrize("path", EVERYTHING, ids=short)
def test_a_file_can_be_read_in_one_go(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_no_module_is_named_for_nothing_in_particular() -> None:
    vague = re.compile(r"^(utils?|commons?|helpers?|misc|managers?)$")
    parts = {short(path): [*path.relative_to(REPOSITORY).with_suffix("").parts] for path in EVERYTHING}
    assert [name for name, words in parts.items() if any(map(vague.match, words))] == []


def test_sqlite3_is_imported_under_store_only() -> None:
    outside = [path for path in modules("rq_py") if PACKAGE / "store" not in path.parents]
    assert [short(path) for path in outside if "sqlite3" in set(imported(path))] == []


def test_the_command_line_and_the_feeder_hold_no_sql() -> None:
    sql = re.compile(
        r"\b(SELECT\s.+\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|PRAGMA\s|BEGIN\s+IMMEDIATE)\b",
        re.IGNORECASE | re.DOTALL,
    )
    found = [
        f"{short(path)}:{node.lineno}"
        for path in modules("rq_py/cli", "rq_py/feeder")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and sql.search(node.value)
        and not is_prose(node.value)
    ]
    assert found == []


def is_prose(text: str) -> bool:
    """A docstring may speak of SQL; it ends with a full stop."""
    return text.rstrip().endswith(".")


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))


def test_nothing_executes_data() -> None:
    for path in modules("rq_py"):
        assert not {"pickle", "marshal", "shelve", "dill"} & set(imported(path)), short(path)
        for call in calls(path):
            if isinstance(call.func, ast.Name):
                assert call.func.id not in {"eval", "exec", "__import__"}, f"{short(path)}:{call.lineno}"


def test_yaml_is_loaded_by_safe_loaders_only() -> None:
    unsafe = re.compile(r"(?i)^(c?loader|(c?(full|unsafe))(loader)|(full|unsafe)_load(_all)?)$")
    for path in modules("rq_py", "tests"):
        for node in ast.walk(tree(path)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "yaml"
            ):
                assert not unsafe.match(node.attr), f"{short(path)}:{node.lineno} {node.attr}"
        for call in calls(path):
            if ast.unparse(call.func) in {"yaml.load", "yaml.load_all", "yaml.compose", "yaml.parse"}:
                assert "Loader" in ast.unparse(call), f"{short(path)}:{call.lineno} names no loader"


def test_no_path_of_the_machine_it_was_written_on() -> None:
    own = re.escape(str(REPOSITORY)) + "/"
    machine = re.compile(rf"(?<![\w.])({own}|{re.escape(str(Path.home()))}/|/home/\w+/|/Users/\w+/)")
    found = [
        f"{short(path)}: {hit.group()}"
        for path in project_files()
        if (hit := machine.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert found == []


def test_the_scripts_run_where_they_say() -> None:
    scripts = [path for path in project_files() if path.parent in {REPOSITORY / "bin", REPOSITORY / ".ci"}]
    assert {path.name for path in scripts} >= {"rqpy", "setup", "quickstart", "test", "run"}
    for path in scripts:
        first, second = path.read_text(encoding="utf-8").splitlines()[:2]
        assert first in {"#!/bin/sh", "#!/usr/bin/env bash"}, short(path)
        assert re.match(r"# .*[.:]$", second), f"{short(path)}: the second line does not say what it is for"
        assert path.stat().st_mode & 0o111, f"{short(path)} is not executable"
