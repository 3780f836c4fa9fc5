"""Making the schema, and bringing an old one up to date when somebody asks for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from importlib.resources import files

from rq_py.store.database import SCHEMA_VERSION

#: Runs one statement in an open transaction.
Execute = Callable[[str], sqlite3.Cursor]


def schema() -> str:
    """The schema of a new queue."""
    return (files("rq_py.store") / "schema.sql").read_text(encoding="utf-8")


def migration(version: int) -> str:
    """The script that brings schema ``version - 1`` to ``version``."""
    return (files("rq_py.store") / "migrations" / f"{version:04d}.sql").read_text(encoding="utf-8")


def statements(script: str) -> list[str]:
    """Split a script into its statements.

    ``executescript`` would commit the open transaction first; a migration must be one transaction.
    """
    found, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found


def apply(execute: Execute, script: str) -> None:
    """Run ``script`` inside the open transaction of ``execute``."""
    for statement in statements(script):
        execute(statement)


def upgrade(execute: Execute) -> list[int]:
    """Apply what is missing, inside the open transaction of ``execute``; returns the versions applied."""
    (version,) = execute("PRAGMA user_version").fetchone()
    missing = list(range(version + 1, SCHEMA_VERSION + 1))
    for number in missing:
        apply(execute, migration(number))
    return missing
