"""Saving what can be read of a corrupt database: its rows, one range after the other, into a fresh schema.

A damaged page of a table makes every row on it unreadable, and a scan that meets it ends there. So a range
that fails is cut in halves until what fails is one row; the others are reached through whole pages. Indices
are not read at all: they are made anew.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from rq_py.errors import StorageError
from rq_py.queuedir import STREAMS, QueueDir
from rq_py.store import migrate
from rq_py.store.database import storage_errors
from rq_py.store.files import file_errors

#: What says that a row, or the page that it is on, cannot be read or cannot be right.
_DAMAGE = (sqlite3.DatabaseError, OverflowError, ValueError)


#: The other tables that are saved, each with what its rows are ordered by.
_SMALL_TABLES = (
    ("submits", "token"),
    ("removals", "jid"),
    ("attempts", "jid"),
    ("dependencies", "jid"),
    ("settling", "jid"),
)
#: A job that is lost counts as deleted for those that are after it.
_SETTLE_LOST = """
    INSERT INTO settling (jid, gone) SELECT DISTINCT after, 'failed' FROM dependencies
    WHERE met = 0 AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.jid = after) ON CONFLICT DO NOTHING
"""


@dataclass(slots=True)
class Salvaged:
    """How many jobs were saved, and how many places in the table hold a job that cannot be read."""

    saved: int = 0
    lost: int = 0


def salvage(database: Path, directory: QueueDir) -> Salvaged:
    """Replace the corrupt ``database``, which nobody else uses, by one with the rows that can be read.

    Raises StorageError when not even the list of its tables can be read.
    """
    fresh = database.with_name(f"{database.name}.fresh")
    with storage_errors(database), file_errors(database):
        fresh.unlink(missing_ok=True)
        with closing(_open(database)) as old, closing(sqlite3.connect(fresh, isolation_level=None)) as new:
            found = _rescue(old, new, database, directory)
        os.chmod(fresh, database.stat().st_mode & 0o777)
        database.with_name(f"{database.name}-journal").unlink(missing_ok=True)
        os.rename(fresh, database)
    return found


def _open(database: Path) -> sqlite3.Connection:
    """Open the damaged database; this rolls back what a dead writer left, as far as it can be."""
    connection = sqlite3.connect(database, isolation_level=None)
    # A cell that does not fit its page is an error then, not a row of rubbish.
    connection.execute("PRAGMA cell_size_check=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def _rescue(
    old: sqlite3.Connection, new: sqlite3.Connection, database: Path, directory: QueueDir
) -> Salvaged:
    """Copy all tables row by row."""
    new.execute("PRAGMA journal_mode=OFF")
    new.execute("PRAGMA synchronous=OFF")
    new.execute("BEGIN")
    migrate.apply(new.execute, migrate.schema())
    try:
        tables = {row[0] for row in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        raise StorageError(f"{database}: nothing in it can be read ({error}): restore a backup") from error
    if "jobs" not in tables:
        raise StorageError(f"{database}: it holds no jobs: restore a backup")
    # With 0 it is overwritten at once by who makes the generation.
    new.execute("INSERT INTO generation (number, maker) VALUES (0, 'salvage')")
    given = _highest_given(old, directory)
    found = _jobs(old, new, given)
    for table, key in _SMALL_TABLES:
        if table in tables:
            _small_table(old, new, table, key)
    new.execute("DELETE FROM attempts WHERE jid NOT IN (SELECT jid FROM jobs)")
    new.execute(_SETTLE_LOST)
    new.execute("DELETE FROM sqlite_sequence WHERE name = 'jobs'")
    (highest,) = new.execute("SELECT max(coalesce(max(jid), 0), ?) FROM jobs", (given,)).fetchone()
    new.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (highest,))
    new.execute("COMMIT")
    return found


def _highest_given(old: sqlite3.Connection, directory: QueueDir) -> int:
    """The highest jid that was ever given, as far as anything tells: the database, or a file of a job."""
    highest = 0
    for sql in (
        "SELECT seq FROM sqlite_sequence WHERE name = 'jobs'",
        "SELECT max(jid) FROM jobs",
        "SELECT max(jid) FROM jobs INDEXED BY jobs_state",
    ):
        with suppress(*_DAMAGE):
            for (value,) in old.execute(sql):
                highest = max(highest, int(value or 0))
    for kind in (*STREAMS, "data"):
        with suppress(FileNotFoundError):
            names = os.listdir(directory.path / kind)
            highest = max([highest, *(int(name) for name in names if name.isdecimal())])
    return highest


def _jobs(old: sqlite3.Connection, new: sqlite3.Connection, highest: int) -> Salvaged:
    """Copy the jobs from 1 to ``highest``."""
    columns = [row[1] for row in new.execute("PRAGMA table_info(jobs)")]
    with suppress(sqlite3.DatabaseError):
        known = {row[1] for row in old.execute("PRAGMA table_info(jobs)")}
        columns = [column for column in columns if column in known]
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    select = f"SELECT {names} FROM jobs NOT INDEXED WHERE jid BETWEEN ? AND ? ORDER BY jid"  # noqa: S608
    insert = f"INSERT INTO jobs ({names}) VALUES ({marks})"  # noqa: S608
    place, key = columns.index("jid"), columns.index("key") if "key" in columns else None
    found = Salvaged()
    ranges = [(1, highest)]
    while ranges:
        first, last = ranges.pop()
        try:
            for row in _rows(old, select, (first, last)):
                first = row[place] + 1  # type: ignore[operator]
                if _insert(new, insert, row, key):
                    found.saved += 1
                else:
                    found.lost += 1
        except _DAMAGE:
            if first == last:
                found.lost += 1
            elif first < last:
                middle = (first + last) // 2
                ranges += [(middle + 1, last), (first, middle)]
    return found


def _insert(new: sqlite3.Connection, sql: str, row: Sequence[object], key: int | None) -> bool:
    """Insert a row; without its ``key`` (which column it is) where another row has that.

    Returns False for a row that no queue can have.
    """
    try:
        new.execute(sql, row)
    except _DAMAGE:
        if key is None or row[key] is None:
            return False
        return _insert(new, sql, [*row[:key], None, *row[key + 1 :]], key)
    return True


def _rows(old: sqlite3.Connection, sql: str, bounds: Sequence[int]) -> Iterator[Sequence[object]]:
    """The rows of one range, each within it: a damaged page may say anything."""
    low, high = bounds
    for row in old.execute(sql, bounds):
        if not isinstance(row[0], int) or not low <= row[0] <= high:
            raise ValueError(row[0])
        low = row[0] + 1
        yield row


def _small_table(old: sqlite3.Connection, new: sqlite3.Connection, table: str, key: str) -> None:
    """Copy the rows of ``table`` from both ends up to the damage; what is lost there is no job."""
    for order in ("ASC", "DESC"):
        with suppress(*_DAMAGE):
            rows = old.execute(f"SELECT * FROM {table} ORDER BY {key} {order}")  # noqa: S608
            names = ", ".join(column[0] for column in rows.description)  # fewer in an old schema
            marks = ", ".join("?" * len(rows.description))
            for row in rows:
                new.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", row)  # noqa: S608
