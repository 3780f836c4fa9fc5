"""The tally that triggers keep: after any changes of rows it says what the rows say, and status reads it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rq_py import JobSpec, Queue
from rq_py.clock import duration_text
from rq_py.locking.queuelock import HeldLock
from rq_py.queuedir import Generation
from rq_py.status import status
from rq_py.store import migrate
from rq_py.store.transaction import Transaction
from tests.store.tally import assert_kept, kept

STATES = ("pending", "holding", "running", "finished", "dead")

#: Few jids, some of them in another block; few values, so that many changes change nothing.
jids = st.sampled_from([1, 2, 3, 4, 1023, 1024, 5000])
fields = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(STATES),
        "exit_status": st.sampled_from([None, 0, 1, -1, 255]),
        "elapsed": st.sampled_from([None, 0.0, 0.0004, 0.1, 0.2, 3.0, 1e7]),
        "finished": st.sampled_from([None, "2026-11-20 15:06:49.514387Z", "2026-11-20 15:07:00.000000Z"]),
        "priority": st.integers(0, 3),
    },
)
steps: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.sampled_from(["INSERT OR REPLACE", "INSERT OR IGNORE"]), jids, fields),
    st.tuples(st.sampled_from(["UPDATE", "UPDATE OR IGNORE"]), jids, fields),
    st.tuples(st.just("UPDATE ALL"), jids, fields),
    st.tuples(st.just("DELETE"), jids, st.just({})),
    st.tuples(st.just("DELETE ALL"), jids, st.just({})),
)


class _Loose(Transaction):
    """A transaction on a database of its own, without any queue."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock: HeldLock
        self.generation: Generation


@pytest.fixture
def database() -> Iterator[Transaction]:
    """An empty database with the schema."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield _Loose(connection)


def apply(tx: Transaction, verb: str, jid: int, values: dict[str, object]) -> None:
    """Make one change."""
    if verb.startswith("INSERT"):
        row: dict[str, object] = {"jid": jid, "priority": 0, "state": "pending", "submitted": "", **values}
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        sql = f"{verb} INTO jobs ({names}, submitter, command) VALUES ({marks}, '', 'true')"
        tx.execute(sql, list(row.values()))
    elif verb.startswith("UPDATE") and values:
        word = verb.removesuffix(" ALL")
        sets = ", ".join(f"{name} = :{name}" for name in values)
        where = "" if verb.endswith("ALL") else " WHERE jid = :jid"
        tx.execute(f"{word} jobs SET {sets}{where}", {**values, "jid": jid})
    elif verb.startswith("DELETE"):
        tx.execute("DELETE FROM jobs" + ("" if verb.endswith("ALL") else f" WHERE jid = {jid}"))  # noqa: S608


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(steps, max_size=25))
def test_after_any_changes_the_tally_is_what_the_rows_say(
    database: Transaction, changes: list[tuple[str, int, dict[str, object]]]
) -> None:
    database.execute("BEGIN")
    migrate.apply(database.execute, migrate.schema())
    database.execute("PRAGMA recursive_triggers=ON")  # as store/usersql.py, else REPLACE tells nobody
    try:
        for change in changes:
            apply(database, *change)
            assert_kept(database)
    finally:
        database.execute("ROLLBACK")


def put(queue: Queue, elapsed: float | None, state: str = "finished", exit_status: int | None = 0) -> None:
    """Insert a job that has ended."""
    with queue.store.write() as tx:
        tx.execute(
            """INSERT INTO jobs (
                   priority, state, submitted, submitter, command, elapsed, exit_status, finished
               ) VALUES (0, ?, '', '', 'true', ?, ?, '2004-11-12 17:37:10.312094Z')""",
            (state, elapsed, exit_status),
        )


def extremes(queue: Queue, state: str = "finished") -> object:
    """The jids of the shortest and the longest job in ``state``."""
    temporal = queue.status()["temporal"]
    assert isinstance(temporal, dict)
    return {name: next(iter(found)) for name, found in temporal.get(state, {}).items()}


def test_the_extremes_of_jobs_that_are_gone_are_forgotten(queue: Queue) -> None:
    for elapsed in (5.0, 1.0, 9.0, 4.0, 6.0):
        put(queue, elapsed)
    put(queue, None)
    assert extremes(queue) == {"min": 2, "max": 3}
    queue.delete(2)
    assert extremes(queue) == {"min": 4, "max": 3}
    queue.resubmit(3)
    assert extremes(queue) == {"min": 4, "max": 5}
    queue.delete(1, 4, 5)
    assert extremes(queue) == {}
    with queue.store.read() as tx:
        assert_kept(tx)


def test_the_extremes_are_found_in_any_block(queue: Queue) -> None:
    """Also where the block with the best bound has lost the job that had it."""
    with queue.store.write() as tx:
        tx.execute(
            """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
               INSERT INTO jobs (
                   priority, state, submitted, submitter, command, elapsed, exit_status, finished
               ) SELECT 0, CASE WHEN i % 3 THEN 'finished' ELSE 'dead' END, '', '', 'true',
                      (i * 7919) % 5003, 0, '2004-11-12 17:37:10.312094Z' FROM n"""
        )
    for _ in range(6):
        for state in ("finished", "dead"):
            with queue.store.read() as tx:
                assert_kept(tx)
                rows = tx.execute(
                    "SELECT jid FROM jobs WHERE state = ? ORDER BY elapsed", (state,)
                ).fetchall()
            assert extremes(queue, state) == {"min": rows[0][0], "max": rows[-1][0]}
            queue.delete(rows[0][0], rows[1][0], rows[-1][0])


def test_status_looks_at_few_rows_however_many_jobs_there_are(queue: Queue) -> None:
    def fill(count: int) -> None:
        with queue.store.write() as tx:
            tx.execute(
                """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                   INSERT INTO jobs (priority, state, submitted, submitter, command, elapsed, finished)
                   SELECT 0, CASE i % 5 WHEN 0 THEN 'dead' WHEN 1 THEN 'pending' ELSE 'finished' END,
                          '2004-11-12 17:37:00.000000Z', '', 'true', i % 60, '2004-11-12 17:37:10.312094Z'
                   FROM n""",
                (count,),
            )

    def steps_of() -> int:
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        with queue.store.read() as tx:
            tx.execute("SELECT count(*) FROM sqlite_master").fetchone()
            tx._connection.set_progress_handler(count, 100)
            status(tx, {})
            tx._connection.set_progress_handler(None, 0)
        return steps

    fill(3_000)
    few = steps_of()
    fill(60_000)
    assert steps_of() < few * 2, few


def test_what_a_users_sql_does_is_counted(queue: Queue) -> None:
    queue.submit_many([JobSpec("a"), JobSpec("b"), JobSpec("c", stage=True)])
    queue.execute(
        "update jobs set state = 'finished', exit_status = 3, elapsed = 1.5,"
        " finished = '2026-11-20 15:06:49.514387Z' where jid <= 2;"
        "replace into jobs (jid, priority, state, submitted, submitter, command)"
        " select jid, 1, 'dead', submitted, 'here', 'true' from jobs where jid = 2;"
        "delete from jobs where jid = 3"
    )
    with queue.store.read() as tx:
        assert_kept(tx)
        assert kept(tx).ended == {(0, "finished", 3): (1, 1500), (0, "dead", ""): (1, 0)}
    assert queue.status()["exit_status"] == {"successes": 0, "failures": 2}


def test_the_average_does_not_drift(queue: Queue) -> None:
    for elapsed in (0.1, 1e7, 0.2):
        put(queue, elapsed)
    queue.delete(2)
    performance = queue.status()["performance"]
    assert isinstance(performance, dict)
    assert performance["avg_time_per_job"] == duration_text(0.15)


def test_minutes_that_nobody_asks_for_are_forgotten(queue: Queue) -> None:
    with queue.store.write() as tx:
        tx.execute(
            """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
               INSERT INTO jobs (priority, state, submitted, submitter, command, finished)
               SELECT 0, 'finished', '', '', 'true',
                      strftime('%Y-%m-%d %H:%M:%S.000000Z', 1100281030 + i * 60, 'unixepoch') FROM n"""
        )
        (minutes, last) = tx.execute("SELECT count(*), max(minute) FROM minutes").fetchone()
    assert minutes == 3001
    assert last == "2004-11-15 12:17"


def test_copies_count_their_own_rows(queue: Queue, tmp_path: Path) -> None:
    queue.submit_many([JobSpec("a"), JobSpec("b")])
    put(queue, 2.0)
    put(queue, 3.0, "dead", None)
    for copy in (queue.snapshot(tmp_path / "s"), queue.backup(tmp_path / "b")):
        with copy.store.read() as tx:
            assert_kept(tx)
    queue.rotate(tmp_path / "r")
    for left in (queue, Queue(tmp_path / "r")):
        with left.store.read() as tx:
            assert_kept(tx)
    assert queue.status()["jobs"] == {
        "pending": 2, "holding": 0, "running": 0, "finished": 0, "dead": 0, "total": 2,
    }  # fmt: skip
