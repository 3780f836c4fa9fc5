"""Looking at a queue's database from outside, as any SQLite program would."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from rq_py import Queue
from rq_py.store.transaction import Transaction

INSERT = "INSERT INTO jobs (priority, state, submitted, submitter, command) VALUES (0, 'holding', '', '', ?)"


def insert(tx: Transaction, command: str) -> None:
    """Insert a row, nothing more."""
    tx.execute(INSERT, (command,))


def commands(queue: Queue) -> list[str]:
    """The commands of all jobs, read through the store."""
    with queue.store.read() as tx:
        return [row[0] for row in tx.execute("SELECT command FROM jobs ORDER BY jid")]


def integrity(database: Path) -> str:
    """What PRAGMA integrity_check says to a plain connection."""
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def number(queue: Queue) -> int:
    """The number of the current generation, in a fresh look."""
    return Queue(queue.path).store.generations.current().number


def generations(queue: Queue) -> list[str]:
    """The generations and the drafts of them that exist."""
    return sorted(path.name for path in queue.path.glob("db.*"))


def assert_persistent(queue: Queue) -> None:
    """The journal exists, is not empty, and begins with zeros: PERSIST after the end of a transaction."""
    journal = queue.store.generations.current().journal
    content = journal.read_bytes()
    assert len(content) > 0, journal
    assert content[:8] == bytes(8), content[:8]
