"""Whatever text is given to ``query``: not a byte of the queue changes, and the answer is rows or one line.

Each protection is tested by itself as well, so that none can be lost unnoticed behind another.
"""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rq_py import Queue
from rq_py.errors import UsageError
from rq_py.job import Job
from rq_py.store import usersql
from rq_py.store.database import SCHEMA_VERSION
from rq_py.store.usersql import ChangesRowsError
from tests.conftest import Rqpy, command_line
from tests.querying.conftest import bytes_of

ENDLESS = (
    "exists (with recursive c(x) as (select 1 union all select x + 1 from c) select 1 from c where x < 0)"
)
GROWING = "0 in (with recursive c(x) as (select 1 union select x + 1 from c) select x from c)"

FRAGMENTS = [
    *(
        "1",
        "0",
        "null",
        "'x'",
        '"x"',
        "`x`",
        "[x]",
        "jid",
        "state",
        "tag",
        "jobs.jid",
        "*",
        "x'00'",
        "-1",
        "?",
    ),
    *("(", ")", "((", "))", ",", ";", ";;", "=", "!=", "=~", "<", "and", "or", "not", "in", "like", "is"),
    *(
        "--",
        "-- x\n",
        "/*",
        "*/",
        "'",
        '"',
        "`",
        "[",
        "]",
        "\\",
        "\0",
        "\n",
        "$x(",
        ":x",
        "@x",
        "#1",
        "é",
        "\udcff",
    ),
    *("tag=x", "tag!=", "jid=1", "priority=~%", "restartable=true", "x=y", "and", "jid=1;"),
    *(
        "select",
        "select 1",
        "select * from jobs",
        "from jobs",
        "union select jid from jobs",
        "where",
        "limit 1",
    ),
    *("drop table jobs", "delete from jobs", "update jobs set tag = 1", "insert into jobs default values"),
    *(
        "attach 'x.db' as x",
        "pragma journal_mode = delete",
        "pragma_user_version",
        "vacuum",
        "begin",
        "commit",
    ),
    *(
        "rollback",
        "returning *",
        "create table x (y)",
        "alter table jobs rename to x",
        "reindex",
        "detach main",
    ),
    *("load_extension('x')", "fts3_tokenizer('simple')", "randomblob(9)", "zeroblob(999999999)", "char(0)"),
    *(
        "abs(-9223372036854775808)",
        "json('{')",
        "printf('%1000000000d', 1)",
        "replace(hex(zeroblob(99)), '0', 'xx')",
    ),
    *(
        ENDLESS,
        "(select 1 from sqlite_schema)",
        "exists (select 1 from pragma_table_info('jobs'))",
        "count(*)",
    ),
    *(
        "case when 1 then",
        "end",
        "cast(x'ff' as text)",
        "collate nocase",
        "over ()",
        "1e999",
        "not exists",
        "glob",
    ),
]
TEXTS = st.text() | st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=8).map(" ".join)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement may take a quarter of a second."""
    monkeypatch.setattr(usersql, "LONGEST_SECONDS", 0.25)


@pytest.mark.usefixtures("hurried")
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_any_text_gives_rows_or_one_line_and_changes_nothing(queue: Queue, text: str) -> None:
    before = bytes_of(queue)
    answer = answer_to(queue, text)
    assert bytes_of(queue) == before
    if isinstance(answer, str):
        assert answer
        assert "\n" not in answer
    else:
        assert all(isinstance(job, Job) and 1 <= job.jid <= 6 for job in answer)


def answer_to(queue: Queue, text: str) -> list[Job] | str:
    """The jobs, or the line of the one error that there may be, whose exit status is 2."""
    try:
        return list(queue.query(text))
    except UsageError as error:
        return str(error) if error.exit_code == 2 else ""


@pytest.mark.parametrize(
    "text", ["1; drop table jobs", "delete from jobs", "load_extension('x')", "1) --", "'"]
)
def test_the_command_line_does_so_too(rqpy: Rqpy, queue: Queue, text: str) -> None:
    before = bytes_of(queue)
    for done in (rqpy("query", text, queue=queue.path), rqpy("query", queue=queue.path, stdin=text)):
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert bytes_of(queue) == before


WRITING = [
    *("UPDATE jobs SET tag = 'x'", "DELETE FROM jobs", "REPLACE INTO jobs SELECT * FROM jobs"),
    "WITH x AS (SELECT 1) UPDATE jobs SET tag = 'x'",
    "EXPLAIN DELETE FROM jobs",
]
REFUSED = [
    *(
        "CREATE TABLE x (y)",
        "CREATE TEMP TABLE x (y)",
        "CREATE TABLE x AS SELECT * FROM jobs",
        "DROP TABLE jobs",
    ),
    *(
        "CREATE INDEX x ON jobs (tag)",
        "DROP INDEX jobs_ready",
        "ALTER TABLE jobs ADD COLUMN x",
        "DROP TABLE IF EXISTS jobs",
    ),
    *(
        "CREATE VIEW x AS SELECT 1",
        "CREATE TRIGGER x AFTER DELETE ON jobs BEGIN SELECT 1",
        "CREATE VIRTUAL TABLE x USING fts5(y)",
    ),
    *(
        "ATTACH 'other.db' AS other",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "VACUUM INTO 'other.db'",
        "VACUUM",
    ),
    *("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT x", "RELEASE x", "REINDEX", "ANALYZE"),
    *(
        "PRAGMA journal_mode = DELETE",
        "PRAGMA user_version = 9",
        "PRAGMA query_only = OFF",
        "pragma Writable_Schema=1",
    ),
    *(
        "PRAGMA locking_mode",
        "PRAGMA wal_checkpoint",
        "PRAGMA temp_store_directory = '/'",
        "PRAGMA integrity_check",
    ),
    *(
        "DELETE FROM generation",
        "UPDATE generation SET number = 9",
        "DELETE FROM submits",
        "DELETE FROM removals",
    ),
    *("INSERT INTO removals VALUES (1)", "UPDATE sqlite_sequence SET seq = 0", "DELETE FROM sqlite_master"),
    *("UPDATE jobs SET jid = 9 WHERE jid = 1", "UPDATE jobs SET rowid = 9", "UPDATE jobs SET JID = jid + 1"),
    *(
        "SELECT load_extension('x')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT FTS3_TOKENIZER('simple', x'00')",
    ),
]


@pytest.mark.parametrize("sql", WRITING)
def test_the_authorizer_lets_a_reader_change_no_row(queue: Queue, sql: str) -> None:
    before = bytes_of(queue)
    with queue.store.read() as tx, pytest.raises(ChangesRowsError), usersql.reading(tx) as guard:
        guard.run(sql)
    assert bytes_of(queue) == before


@pytest.mark.parametrize("sql", REFUSED)
def test_the_authorizer_refuses_all_but_rows_of_jobs(queue: Queue, sql: str, tmp_path: Path) -> None:
    before = bytes_of(queue)
    with pytest.raises(UsageError) as caught, queue.store.read() as tx, usersql.reading(tx) as guard:
        guard.run(sql)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError), queue.store.write() as tx, usersql.changing(tx) as guard:
        guard.run(sql)
    assert bytes_of(queue) == before
    assert not list(Path().glob("other.db*"))


def test_the_reader_of_a_query_is_read_only_without_the_authorizer_too(queue: Queue) -> None:
    with queue.store.read() as tx, usersql.reading(tx) as guard:
        assert guard.run("PRAGMA query_only").fetchone() == (1,)


def test_what_only_tells_is_allowed(queue: Queue) -> None:
    with queue.store.read() as tx, usersql.reading(tx) as guard:
        assert {"jid", "command"} < {row[1] for row in guard.run("PRAGMA table_info(jobs)")}
        assert guard.run("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert ("jobs",) in guard.run("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()


def test_one_condition_at_a_time(queue: Queue) -> None:
    with pytest.raises(UsageError, match="one condition at a time"):
        queue.query("state = 'dead'; state = 'pending'")


@pytest.mark.usefixtures("hurried")
def test_a_statement_that_does_not_end_is_ended(queue: Queue) -> None:
    with pytest.raises(UsageError, match=r"longer than 0\.25 s"):
        queue.query(ENDLESS)
    with pytest.raises(UsageError, match=r"longer than 0\.25 s"):
        queue.execute(f"UPDATE jobs SET tag = 'x'; UPDATE jobs SET tag = 'y' WHERE {ENDLESS}")  # noqa: S608
    assert not list(queue.query("tag=x"))


def test_a_statement_that_eats_memory_is_ended(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usersql, "_MOST_MEMORY", 16 << 20)
    with pytest.raises(UsageError, match="16 MiB of memory"):
        queue.query(GROWING)


def test_a_value_that_is_too_long_is_refused(queue: Queue) -> None:
    with pytest.raises(UsageError, match="too big"):
        queue.query("hex(randomblob(9000000)) = 'x'")


def test_the_holder_of_a_long_query_looks_alive(
    queue_path: Path, rqpy: Rqpy, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue.create(queue_path, settings={"lock_lease": "1"})
    queue.submit("true")
    monkeypatch.setattr(usersql, "LONGEST_SECONDS", 4.0)
    has_begun = threading.Event()
    queue.store.notify = lambda _: has_begun.set()
    monkeypatch.setenv("RQ_SQL_DEBUG", "1")

    def ask() -> None:
        with pytest.raises(UsageError, match="longer than 4 s"):
            queue.query(ENDLESS)

    thread = threading.Thread(target=ask)
    thread.start()
    assert has_begun.wait(10)
    done = rqpy("submit", "--timeout=30", "true", queue=queue_path)
    thread.join()
    assert (done.returncode, done.stderr) == (0, "")
    assert not queue.dir.generation(2).path.exists()  # nobody took the holder for stuck


def test_ctrl_c_ends_a_query_at_once(queue: Queue, environment: dict[str, str]) -> None:
    with subprocess.Popen(
        command_line(queue.path, "query", ENDLESS),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment, "RQ_SQL_DEBUG": "1"},
        text=True,
    ) as process:
        assert process.stderr is not None
        assert any(ENDLESS in line for line in process.stderr)  # it is being run now
        process.send_signal(2)
        assert process.wait(timeout=20) == 130
        assert process.stderr.read().endswith("rqpy: interrupted\n")
