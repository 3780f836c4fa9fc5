"""Making the schema, and bringing an old one up to date when somebody asks for it."""

from __future__ import annotations

import sqlite3
from importlib.resources import files

from rq_py.store.database import SCHEMA_VERSION


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


def apply(connection: sqlite3.Connection, script: str) -> None:
    """Run ``script`` inside the open transaction."""
    for statement in statements(script):
        connection.execute(statement)


def upgrade(connection: sqlite3.Connection) -> list[int]:
    """Apply what is missing, inside the open transaction; returns the versions applied."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    missing = list(range(version + 1, SCHEMA_VERSION + 1))
    for number in missing:
        apply(connection, migration(number))
    return missing
