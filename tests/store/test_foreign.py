"""Programs that know nothing of the queue lock hold the database: wait, say so, then leave them behind."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.errors import Busy
from rq_py.runner.identity import boottime
from tests.store.children import Child, child
from tests.store.database import assert_persistent, commands, generations, insert, integrity

#: A program with plain sqlite3; it executes a statement and stays.
_FOREIGN = """
import sqlite3
connection = sqlite3.connect(arguments[0], isolation_level=None)
for statement in arguments[1:]:
    connection.execute(statement).fetchone()
say("inside")
hear()
connection.execute("COMMIT")
connection.close()
say("gone")
"""


@pytest.fixture
def said(queue: Queue) -> list[str]:
    """What the store tells the user."""
    lines: list[str] = []
    queue.store.notify = lines.append
    return lines


@pytest.fixture
def writer(queue: Queue) -> Iterator[Child]:
    """A foreign program that holds a write lock."""
    with child(_FOREIGN, queue.path / "db", "BEGIN IMMEDIATE") as started:
        started.expect("inside")
        yield started


@pytest.fixture
def reader(queue: Queue) -> Iterator[Child]:
    """A foreign program in the middle of reading."""
    with child(_FOREIGN, queue.path / "db", "BEGIN", "SELECT count(*) FROM jobs") as started:
        started.expect("inside")
        yield started


def test_a_foreign_writer_is_busy_at_the_timeout(queue: Queue, writer: Child, said: list[str]) -> None:
    with pytest.raises(Busy, match="another program holds the database"), queue.store.write(timeout=0.3):
        pass
    assert len(said) == 1  # once, not at every try
    assert said[0].endswith("waiting")
    assert commands(queue) == []  # reading goes on beside a writer that has not committed
    writer.tell()
    writer.expect("gone")
    queue.submit("after")
    assert generations(queue) == ["db.1"]


def test_the_lock_is_free_while_waiting_for_a_foreign_writer(queue: Queue, writer: Child) -> None:
    program = """
queue = Queue(arguments[0])
queue.store.notify = lambda line: say("waiting")
queue.submit("patient")
say("submitted")
"""
    with child(program, queue.path) as submitter:
        submitter.expect("waiting")
        assert commands(queue) == []  # takes the queue lock again and again, between its tries
        writer.tell()
        writer.expect("gone")
        submitter.expect("submitted")
    assert commands(queue) == ["patient"]


def test_a_foreign_writer_is_left_behind_after_a_lease(queue: Queue, writer: Child, said: list[str]) -> None:
    begun = boottime()
    queue.submit("elsewhere")
    assert boottime() - begun >= queue.settings.lock_lease
    assert generations(queue) == ["db.1", "db.2"]
    assert "making a new generation" in said[-1]
    writer.tell()
    writer.expect("gone")  # it may even commit: into a generation that nobody uses
    assert commands(queue) == ["elsewhere"]
    assert integrity(queue.path / "db.2" / "queue.db") == "ok"


def test_commit_waits_for_a_foreign_reader(queue: Queue, reader: Child) -> None:
    program = """
queue = Queue(arguments[0])
queue.store.notify = lambda line: say(line.rpartition(": ")[2])
queue.submit("patient")
say("submitted")
"""
    with child(program, queue.path) as submitter:
        submitter.expect("waiting to commit")
        reader.tell()
        reader.expect("gone")
        submitter.expect("submitted")
    assert commands(queue) == ["patient"]
    assert generations(queue) == ["db.1"]
    assert_persistent(queue)


def test_a_foreign_reader_is_left_behind_after_a_lease(queue: Queue, reader: Child, said: list[str]) -> None:
    with pytest.raises(Busy), queue.store.write() as tx:
        insert(tx, "never")
    assert generations(queue) == ["db.1", "db.2"]
    queue.submit("next")  # at once
    assert commands(queue) == ["next"]
    assert any("waiting to commit" in line for line in said)
    reader.tell()
    reader.expect("gone")


def test_a_writer_killed_while_it_waits_to_commit_leaves_nothing(queue: Queue, reader: Child) -> None:
    program = """
queue = Queue(arguments[0])
queue.store.notify = lambda line: say("waiting")
queue.submit("never")
"""
    with child(program, queue.path) as submitter:
        submitter.expect("waiting")
        submitter.kill()
    assert commands(queue) == []
    reader.tell()
    reader.expect("gone")
    queue.submit("next")
    assert commands(queue) == ["next"]
    assert integrity(queue.path / "db.1" / "queue.db") == "ok"


def test_people_can_look_with_any_sqlite(queue: Queue) -> None:
    queue.submit("one")
    link = queue.path / "db"
    assert not Path(link.readlink()).is_absolute()
    with closing(sqlite3.connect(f"file:{link}?mode=ro", uri=True)) as shell:
        assert shell.execute("SELECT command FROM jobs").fetchall() == [("one",)]


def test_a_journal_that_was_deleted_comes_back_with_the_queues_mode(queue_path: Path) -> None:
    queue = Queue.create(queue_path, public=True)
    journal = queue.path / "db.1" / "queue.db-journal"
    journal.unlink()
    before = os.umask(0o077)
    try:
        queue.recent(1)
    finally:
        os.umask(before)
    assert journal.stat().st_mode & 0o777 == 0o644
