"""What copies and repairs of a queue know of jobs that are after others."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from rq_py import JobSpec, Queue, State
from rq_py.clock import utc_text
from rq_py.dependencies import settle
from rq_py.store.salvage import salvage


def settled(queue: Queue) -> None:
    """What a tick does."""
    with queue.store.write() as tx:
        assert not settle(tx, utc_text()).is_rest


def test_a_rotation_takes_what_has_ended_and_leaves_its_end(queue: Queue, tmp_path: Path) -> None:
    """Also where nobody had settled it yet."""
    queue.submit_many(
        [JobSpec("true"), JobSpec("true", after=[1]), JobSpec("true", after=["1:any", "2:failed"])]
    )
    queue.execute("update jobs set state = 'finished', exit_status = 0 where jid <= 2")
    queue.rotate(tmp_path / "r")
    assert [job.after for job in Queue(tmp_path / "r").jobs()] == [None, "[1]"]
    settled(queue)
    assert [(job.jid, job.state) for job in queue.jobs()] == [(3, State.DEAD)]


def test_a_backup_goes_on_by_itself(queue: Queue, tmp_path: Path) -> None:
    queue.submit_many([JobSpec("true"), JobSpec("true", after=[1])])
    queue.execute("update jobs set state = 'finished', exit_status = 0 where jid = 1")
    backup = queue.backup(tmp_path / "b")
    settled(backup)
    for one, is_open in ((backup, True), (queue, False)):
        with one.store.read() as tx:
            assert tx.execute("SELECT ready IS NOT NULL FROM jobs WHERE jid = 2").fetchone() == (is_open,)


def test_what_is_salvaged_waits_as_before(queue: Queue) -> None:
    """A job that is lost has failed for those that are after it."""
    queue.submit_many(
        [JobSpec("true"), JobSpec("true"), JobSpec("true", after=[1]), JobSpec("true", after=[1, "2:failed"])]
    )
    database = queue.path / "db.1" / "queue.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=PERSIST")
        connection.execute("DROP TRIGGER links_delete")
        connection.execute("DELETE FROM jobs WHERE jid = 2")  # as if its page could not be read
    assert salvage(database, queue.dir).saved == 3
    settled(queue)
    assert [job.after for job in queue.jobs()] == [None, "[1]", '[1,"2:failed"]']
    with queue.store.read() as tx:
        assert tx.execute("SELECT jid, met FROM dependencies ORDER BY jid, after").fetchall() == [
            (3, 0), (4, 0), (4, 1),
        ]  # fmt: skip
