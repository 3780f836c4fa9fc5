"""Schema versions: what is refused, that schema.sql is the sum of the migrations, and old queues open."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from rq_py import Queue, State
from rq_py.claims import Outcome as End
from rq_py.claims import Verdict, claim, finish
from rq_py.errors import FormatTooNew, FormatTooOld
from rq_py.store import migrate
from rq_py.store.database import SCHEMA_VERSION
from tests.store.database import commands, integrity
from tests.store.tally import assert_kept

QUEUES = Path(__file__).resolve().parent / "queues"


def set_version(queue: Queue, version: int) -> None:
    """Let the database say that it has this schema."""
    with closing(sqlite3.connect(queue.path / "db.1" / "queue.db")) as connection:
        connection.execute("PRAGMA journal_mode=PERSIST")
        connection.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize(
    ("version", "error", "advice"),
    [(SCHEMA_VERSION + 1, FormatTooNew, "upgrade rqpy here"), (0, FormatTooOld, "recover --upgrade")],
)
def test_another_schema_is_refused_in_one_line_and_left_alone(
    queue: Queue, version: int, error: type[Exception], advice: str
) -> None:
    set_version(queue, version)
    database = queue.path / "db.1" / "queue.db"
    before = database.read_bytes()
    for work in (lambda: list(queue.jobs()), lambda: queue.submit("true"), queue.status):
        with pytest.raises(error, match=advice) as caught:
            work()
        assert "\n" not in str(caught.value)
        assert f"has schema {version}" in str(caught.value)
    assert database.read_bytes() == before


def test_a_newer_schema_is_not_upgraded(queue: Queue) -> None:
    set_version(queue, SCHEMA_VERSION + 1)
    with pytest.raises(FormatTooNew):
        queue.upgrade()


def test_nothing_to_upgrade(queue: Queue) -> None:
    queue.submit("one")
    assert queue.upgrade() == []
    assert commands(queue) == ["one"]


def master(connection: sqlite3.Connection) -> list[object]:
    """Everything that makes up a schema, with its spelling."""
    rows = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    ).fetchall()
    return [*rows, connection.execute("PRAGMA user_version").fetchone()]


def test_the_schema_is_the_sum_of_the_migrations() -> None:
    with closing(sqlite3.connect(":memory:")) as fresh, closing(sqlite3.connect(":memory:")) as migrated:
        fresh.executescript(migrate.schema())
        assert migrate.upgrade(migrated.execute) == list(range(1, SCHEMA_VERSION + 1))
        assert master(fresh) == master(migrated)
        assert len(master(fresh)) > 5


def test_a_queue_has_the_schema(queue: Queue) -> None:
    with closing(sqlite3.connect(queue.path / "db")) as real, closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(migrate.schema())
        assert master(real) == master(fresh)


@pytest.fixture
def first(tmp_path: Path) -> Queue:
    """A queue of the first schema whose last job is gone."""
    subprocess.run(["tar", "-xf", QUEUES / "format-1.tar", "-C", tmp_path], check=True)
    queue = Queue(tmp_path / "format-1")
    with closing(sqlite3.connect(queue.path / "db.1" / "queue.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=PERSIST")
        connection.execute("UPDATE sqlite_sequence SET seq = 41 WHERE name = 'jobs'")
        connection.execute("UPDATE jobs SET required_runner = NULL, ready = '' WHERE jid = 1")
    return queue


def test_the_second_schema_keeps_what_the_first_one_had(first: Queue) -> None:
    columns = "jid, priority, state, submitted, token, attempt, elapsed, command, required_runner, ready"
    database = first.path / "db.1" / "queue.db"
    with closing(sqlite3.connect(database)) as connection:
        before = connection.execute(f"SELECT {columns} FROM jobs").fetchall()  # noqa: S608
        submits = connection.execute("SELECT * FROM submits").fetchall()
    with pytest.raises(FormatTooOld, match="recover --upgrade"):
        list(first.jobs())
    assert first.upgrade() == list(range(2, SCHEMA_VERSION + 1))
    assert first.upgrade() == []
    with closing(sqlite3.connect(database)) as real, closing(sqlite3.connect(":memory:")) as fresh:
        assert real.execute(f"SELECT {columns} FROM jobs").fetchall() == before  # noqa: S608
        assert real.execute("SELECT * FROM submits").fetchall() == submits
        fresh.executescript(migrate.schema())
        assert master(real) == master(fresh)
    with first.store.write() as tx:
        assert_kept(tx)
        now = "2026-11-20 15:06:49.514387Z"
        jobs = claim(tx, feeder="new.0", node="new", pids=[1, 2, 3], journal="j", now=now)
        assert [(job.jid, job.attempt) for job in jobs] == [(1, 1)]
        assert_kept(tx)
    assert first.submit("true").jid == 42
    assert first.recover()["integrity"] == "ok"


def test_a_queue_from_which_all_jobs_are_gone_is_upgraded(first: Queue) -> None:
    with closing(sqlite3.connect(first.path / "db.1" / "queue.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=PERSIST")
        connection.execute("DELETE FROM jobs")
    assert first.upgrade() == list(range(2, SCHEMA_VERSION + 1))
    assert first.submit("true").jid == 42


def test_a_migration_that_fails_leaves_the_old_schema(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    set_version(queue, 0)
    before = integrity(queue.path / "db.1" / "queue.db")
    with pytest.raises(Exception, match="already exists"):
        queue.upgrade()  # 0001 makes tables that are there
    with closing(sqlite3.connect(queue.path / "db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    assert before == "ok"


def test_statements_are_split_where_they_end() -> None:
    script = "CREATE TABLE a (b); -- one; two\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n SELECT 1;\n"
    script += " SELECT 2;\nEND;\n"
    found = migrate.statements(script)
    assert len(found) == 2
    assert "".join(found) == script


def test_every_released_format_has_its_archive() -> None:
    assert sorted(path.name for path in QUEUES.glob("*.tar")) == [
        f"format-{n}.tar" for n in range(1, SCHEMA_VERSION + 1)
    ]


@pytest.mark.parametrize("archive", sorted(QUEUES.glob("*.tar")), ids=lambda path: path.stem)
def test_an_old_queue_opens_for_ever(tmp_path: Path, archive: Path) -> None:
    # Not by tarfile, whose `filter` Python 3.11.2 does not know and 3.12 warns without.
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True)
    queue = Queue(tmp_path / archive.stem)
    queue.upgrade()
    assert [(job.jid, job.state) for job in queue.jobs()] == [
        (1, State.PENDING),
        (2, State.HOLDING),
        (3, State.RUNNING),
        (4, State.FINISHED),
        (5, State.DEAD),
        (6, State.FINISHED),
    ]
    first, second, running, finished, dead, killed = queue.jobs()
    assert (first.command, first.tag, first.required_runner) == ("echo 'later' | cat", "später", "elsewhere")
    assert (first.priority, first.cwd, first.env) == (-1, "/", '{"X": "1"}')
    assert queue.stream(2, "stdin").read_bytes() == b"input\n"
    assert second.has_data
    assert queue.dir.data(2).is_file()
    assert (finished.exit_status, finished.elapsed, finished.runner) == (0, 0.25, "old")
    assert (killed.signal, killed.exit_status) == (9, None)
    assert dead.reason == "node_lost"
    jobs = queue.status()["jobs"]
    assert isinstance(jobs, dict)
    assert jobs["total"] == 6
    assert queue.submit("true").jid == 7
    with queue.store.write() as tx:
        end = End(3, running.attempt, running.token, 0, None, running.submitted, 1.0, 0.0, 0.0, 0)
        assert finish(tx, end) is Verdict.DONE
    assert queue.recover()["integrity"] == "ok"


def test_sqlite_of_enterprise_linux_9_reads_the_schema() -> None:
    """3.34 knows no DO UPDATE without a target (https://www.sqlite.org/releaselog/3_35_0.html)."""
    scripts = [migrate.schema(), *map(migrate.migration, range(1, SCHEMA_VERSION + 1))]
    for script in scripts:
        assert "ON CONFLICT DO UPDATE" not in script
        assert " DROP COLUMN" not in script
        assert "RETURNING" not in script
