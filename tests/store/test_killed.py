"""A writer that is killed: before COMMIT, in the middle of it, at any moment. And PERSIST after all of it."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue
from rq_py.errors import OutcomeUnknown, StorageError
from tests.store.children import child
from tests.store.database import assert_persistent, commands, insert, integrity, number

#: Changes every row and grows the database, then commits with a limit on the size of files: the kernel
#: ends it (SIGXFSZ) at the first page beyond the old end, after it has overwritten pages before that.
_DIE_IN_COMMIT = """
import resource
queue = Queue(arguments[0])
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
size = os.stat(queue.store.generations.current().database).st_size
signal.signal(signal.SIGXFSZ, signal.SIG_DFL if arguments[1] == "die" else signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
say("limited")
try:
    with queue.store.write() as tx:
        tx.execute("UPDATE jobs SET priority = 7")
        for _ in range(20):
            tx.execute("INSERT INTO jobs (priority, state, submitted, submitter, command)"
                       " VALUES (7, 'holding', '', '', ?)", ("y" * 3000,))
        say("committing")
except RqError as error:
    say(type(error).__name__)
"""


def die_between_two_writes(queue: Queue) -> None:
    """Have a process killed in the middle of its COMMIT; leaves a hot journal and 40 jobs from before."""
    queue.submit_many(_specs(40))
    with child(_DIE_IN_COMMIT, queue.path, "die") as writer:
        writer.expect("limited")
        writer.expect("committing")
        assert writer.end() == -signal.SIGXFSZ
    journal = queue.store.generations.current().journal
    assert journal.read_bytes()[:8].hex() == "d9d505f920a163d7"  # hot: the kill hit the middle


def _specs(count: int) -> list[JobSpec]:
    return [JobSpec(f"true {position} " + "x" * 3000) for position in range(count)]


@pytest.mark.parametrize("writing", [True, False])
def test_killed_in_the_middle_of_commit(queue: Queue, writing: bool) -> None:
    die_between_two_writes(queue)
    with queue.store.write() if writing else queue.store.read() as tx:
        assert tx.execute("SELECT count(*), max(priority) FROM jobs").fetchone() == (40, 0)
        assert tx.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert_persistent(queue)  # the roll-back too has left the journal where it is
    assert number(queue) == 1


def test_a_commit_that_fails_is_unknown_and_then_found_undone(queue: Queue) -> None:
    queue.submit_many(_specs(40))
    with child(_DIE_IN_COMMIT, queue.path, "go on") as writer:
        writer.expect("limited")
        writer.expect("committing")
        writer.expect(OutcomeUnknown.__name__)
        assert writer.end() == 0
    assert len(commands(queue)) == 40
    assert integrity(queue.path / "db.1" / "queue.db") == "ok"
    assert_persistent(queue)


def test_a_submit_whose_commit_fails_says_that_nothing_was_submitted(queue: Queue) -> None:
    queue.submit_many(_specs(40))
    program = """
import resource
from rq_py import JobSpec
queue = Queue(arguments[0])
size = os.stat(queue.store.generations.current().database).st_size
# The journal of an append is short, and the stdin shorter: only the database hits the limit.
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    queue.submit_many((JobSpec("z" * 3000) for _ in range(20)), stdin=b"input")
except RqError as error:
    say(type(error).__name__, error)
"""
    with child(program, queue.path) as writer:
        said = writer.line()
        assert writer.end() == 0, writer.errors()
    assert said.startswith(StorageError.__name__), said
    assert "nothing was submitted" in said
    assert [job.jid for job in queue.jobs()] == list(range(1, 41))
    assert list((queue.path / "stdin").iterdir()) == []


def test_killed_between_update_and_commit(queue: Queue) -> None:
    queue.submit("before")
    program = """
queue = Queue(arguments[0])
with queue.store.write() as tx:
    tx.execute("UPDATE jobs SET command = 'after'")
    say("updated")
    hear()
"""
    with child(program, queue.path) as writer:
        writer.expect("updated")
        writer.kill()
    assert commands(queue) == ["before"]
    assert integrity(queue.path / "db.1" / "queue.db") == "ok"
    assert_persistent(queue)


def test_killed_after_its_cache_spilled_into_the_database(queue: Queue) -> None:
    """A large transaction writes pages before its COMMIT; all of them go back."""
    program = """
queue = Queue(arguments[0])
with queue.store.write() as tx:
    tx.execute("PRAGMA cache_size = 10")
    tx.execute("UPDATE jobs SET priority = 7")
    for _ in range(200):
        tx.execute("INSERT INTO jobs (priority, state, submitted, submitter, command)"
                   " VALUES (7, 'holding', '', '', ?)", ("y" * 3000,))
    say("spilled")
    hear()
"""
    queue.submit_many(_specs(40))
    database = queue.path / "db.1" / "queue.db"
    size = database.stat().st_size
    with child(program, queue.path) as writer:
        writer.expect("spilled")
        assert database.stat().st_size > size
        writer.kill()
    with queue.store.read() as tx:
        assert tx.execute("SELECT count(*), max(priority) FROM jobs").fetchone() == (40, 0)
    assert integrity(database) == "ok"
    assert_persistent(queue)


def test_killed_at_any_moment_of_a_row_of_commits(queue: Queue) -> None:
    """What was acknowledged is there, at most one commit more, and nothing in halves."""
    program = """
queue = Queue(arguments[0])
for number in range(10**6):
    with queue.store.write() as tx:
        for part in ("a", "b"):
            tx.execute("INSERT INTO jobs (priority, state, submitted, submitter, command)"
                       " VALUES (0, 'holding', '', '', ?)", (f"{arguments[1]} {number} {part}" + "x" * 5000,))
    say(number)
"""
    chance = random.Random(7)
    rows = 0
    for number_of_try in range(8):
        with child(program, queue.path, number_of_try) as writer:
            acknowledged = -1
            last = chance.randrange(1, 12)
            while acknowledged < last:
                acknowledged = int(writer.line())
            # Somewhere in the next commit; which point it is differs from run to run.
            writer.is_silent(chance.random() * 0.008)
            writer.kill()
            while line := writer.line():
                acknowledged = int(line)
        found = commands(queue)
        commits = (len(found) - rows) // 2
        assert commits in {acknowledged + 1, acknowledged + 2}
        rows = len(found)
        assert rows % 2 == 0
        assert integrity(queue.path / "db.1" / "queue.db") == "ok"
        assert_persistent(queue)
    assert number(queue) == 1


def test_the_journal_persists_after_every_kind_of_transaction(queue: Queue) -> None:
    assert_persistent(queue)  # of creation
    with queue.store.write() as tx:
        insert(tx, "one")
    assert_persistent(queue)
    with queue.store.write():
        pass  # changes nothing
    assert_persistent(queue)
    with pytest.raises(ZeroDivisionError), queue.store.write() as tx:
        insert(tx, "two")
        raise ZeroDivisionError
    assert_persistent(queue)
    with queue.store.read() as tx:
        assert tx.execute("PRAGMA journal_mode").fetchone() == ("persist",)
        tx.execute("SELECT * FROM jobs").fetchall()
    assert_persistent(queue)
    with queue.store.write() as tx:
        assert tx.execute("PRAGMA synchronous").fetchone()[0] >= 2
        assert tx.execute("PRAGMA mmap_size").fetchone() in {None, (0,)}


def test_a_deleted_journal_is_tolerated(queue: Queue) -> None:
    queue.submit("one")
    journal = queue.path / "db.1" / "queue.db-journal"
    journal.unlink()
    assert commands(queue) == ["one"]
    journal.unlink(missing_ok=True)
    queue.submit("two")
    assert commands(queue) == ["one", "two"]
    assert_persistent(queue)
    # A sqlite3 shell uses journal_mode=DELETE.
    with closing(sqlite3.connect(queue.path / "db")) as shell:
        shell.execute("UPDATE jobs SET tag = 'shell'")
        shell.commit()
    assert not journal.exists()
    queue.submit("three")
    assert commands(queue) == ["one", "two", "three"]
    assert_persistent(queue)


def test_mark_changes_with_every_commit_and_only_then(queue: Queue) -> None:
    marks = [queue.store.mark()]
    for command in ("one", "two", "three"):
        queue.submit(command)
        marks.append(queue.store.mark())
        commands(queue)
        assert queue.store.mark() == marks[-1]
    assert len(set(marks)) == len(marks)


def test_no_temporary_file_is_left_after_many_transactions(queue: Queue) -> None:
    for position in range(60):
        queue.submit(f"true {position}", stdin=b"x" if position % 3 == 0 else None)
        commands(queue)
    names = {path.name for path in queue.path.rglob("*")}
    assert not [name for name in names if name.startswith(".") or ".tmp" in name]
    assert {path.name for path in (queue.path / "db.1").iterdir()} == {
        "queue.db", "queue.db-journal", "lock", "frozen", "maker",
    }  # fmt: skip
    assert not [name for name in os.listdir(f"/proc/{os.getpid()}/fd") if _is_inside(name, queue.path)]


def _is_inside(descriptor: str, path: Path) -> bool:
    """Whether a descriptor of this process is open in ``path``."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(path))
    except FileNotFoundError:
        return False
