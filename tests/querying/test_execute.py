"""``execute``: SQL that may change rows of jobs, all of it or nothing; what it leaves is a sound queue."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest
import yaml

from rq_py import Queue
from rq_py.errors import UsageError
from tests.conftest import Rqpy, command_line
from tests.querying.conftest import bytes_of


def ready(queue: Queue) -> dict[object, object]:
    """Which node may claim each job."""
    (result,) = queue.execute("SELECT jid, ready FROM jobs")
    assert result.rows is not None
    return dict((jid, node) for jid, node in result.rows)  # noqa: C402


def test_rows_are_a_list_of_mappings_for_each_statement(rqpy: Rqpy, queue: Queue) -> None:
    sql = (
        "select jid, tag, 0.5, x'0aff', started from jobs where jid < 3; -- a note;\nselect 1 as a, 2 as a; ;"
    )
    before = bytes_of(queue)
    for done in (rqpy("e", sql, queue=queue.path), rqpy("execute", "-", queue=queue.path, stdin=sql)):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(
            "---\n-\n  jid: 1\n  tag: important\n  \"0.5\": 0.500000\n  x'0aff': x'0aff'\n"
        )
        assert "  started: 2004-06-29 22:51:05.000000Z\n" in done.stdout
        first, second = yaml.safe_load_all(done.stdout)
        assert [row["jid"] for row in first] == [1, 2]
        assert second == [{"a": 1, "a:1": 2}]
    assert rqpy("execute", "select 1 where 0", queue=queue.path).stdout == "--- []\n"
    assert bytes_of(queue) == before


def test_all_fields_can_be_submitted_again_from_it(rqpy: Rqpy, queue: Queue) -> None:
    done = rqpy("execute", "select jid, tag, command from jobs where jid = 5", queue=queue.path, check=True)
    done = rqpy(
        "submit", "-", "-o", "jsonl", "-f", "command,tag", queue=queue.path, stdin=done.stdout, check=True
    )
    assert done.stdout == '{"tag": "it\'s", "command": "cat"}\n'


@pytest.mark.parametrize("sql", ["", ";", "-- nothing", " /* ; */ ;"])
def test_no_sql_is_refused(rqpy: Rqpy, queue: Queue, sql: str) -> None:
    assert rqpy("execute", sql, queue=queue.path).returncode == 2
    assert rqpy("execute", queue=queue.path, stdin=sql).returncode == 2


def test_rows_are_changed_only_when_the_user_says_so(rqpy: Rqpy, queue: Queue) -> None:
    sql = "select 1; update jobs set priority = 4 where tag = 'important'"
    before = bytes_of(queue)
    done = rqpy("execute", sql, queue=queue.path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "--yes" in done.stderr
    assert bytes_of(queue) == before
    done = rqpy("execute", "--yes", sql, queue=queue.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(yaml.safe_load_all(done.stdout)) == [[{"1": 1}], {"changed": 2}]
    assert [job.jid for job in queue.query("priority=4")] == [1, 2]


@pytest.mark.parametrize(
    ("answer", "status", "changed"), [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0), ("\x04", 130, 0)]
)
def test_a_terminal_is_asked(
    queue: Queue, environment: dict[str, str], answer: str, status: int, changed: int
) -> None:
    terminal, slave = pty.openpty()
    os.write(terminal, answer.encode())
    done = subprocess.run(
        command_line(queue.path, "execute", "update jobs set priority = 4 where jid = 1"),
        stdin=slave,
        capture_output=True,
        text=True,
        env=environment,
        timeout=30,
        check=False,
    )
    os.close(terminal)
    os.close(slave)
    assert done.returncode == status
    assert "this changes rows" in done.stderr
    assert len(list(queue.query("priority=4"))) == changed


def test_it_is_one_transaction(queue: Queue) -> None:
    before = bytes_of(queue)
    with pytest.raises(UsageError, match="no such column: no"):
        queue.execute(
            "update jobs set priority = 9; delete from jobs where jid = 1; update jobs set tag = no"
        )
    after = bytes_of(queue)
    assert {name for name in after if after[name] != before[name]} <= {"db.1/queue.db-journal"}
    assert len(list(queue.jobs())) == 6


def test_what_was_changed_is_counted(queue: Queue) -> None:
    results = queue.execute(
        "update jobs set priority = 1 where jid <= 2; update jobs set priority = 1 where jid = 99;"
        "with x as (select 3 as y) delete from jobs where jid = (select y from x) returning jid, command;"
        "select 1"
    )
    assert [result.changed for result in results] == [2, 0, 1, None]
    assert results[2].rows is not None
    assert list(results[2].rows) == [[3, "foobar 3"]]


def test_who_may_claim_a_job_is_worked_out_anew(queue: Queue) -> None:
    with pytest.raises(UsageError, match='cannot UPDATE generated column "ready"'):
        queue.execute("update jobs set ready = 'nonsense'")
    assert ready(queue) == {1: None, 2: None, 3: None, 4: "", 5: "", 6: None}
    queue.execute(
        "update jobs set state = 'pending' where jid in (2, 6);"
        "update jobs set state = 'holding' where jid = 4"
    )
    assert ready(queue) == {1: None, 2: "", 3: None, 4: None, 5: "", 6: "node_9"}
    queue.execute("update jobs set required_runner = 'node_7' where jid <= 2")
    assert ready(queue) == {1: None, 2: "node_7", 3: None, 4: None, 5: "", 6: "node_9"}
    queue.execute(
        "insert into jobs (priority, state, submitted, submitter, command)"
        " select 1, 'pending', submitted, 'here', 'true' from jobs where jid = 1"
    )
    assert ready(queue)[7] == ""


def test_a_job_made_by_sql_is_run(rqpy: Rqpy, queue: Queue) -> None:
    rqpy(
        "execute",
        "-y",
        "update jobs set state = 'pending', command = 'echo $RQ_JID' where jid = 2",
        queue=queue.path,
        check=True,
    )
    rqpy("execute", "-y", "delete from jobs where jid <> 2", queue=queue.path, check=True)
    rqpy("feed", "--until-empty", queue=queue.path, check=True)
    assert queue.job(2).exit_status == 0
    assert queue.stream(2, "stdout").read_text() == "2\n"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("state = 'done'", "CHECK constraint"),
        ("state = null", "NOT NULL"),
        ("command = null", "NOT NULL"),
        ("command = ' '", "blank"),
        ("command = 7", ""),
        ("command = x'00'", "command"),
        ("command = 'a' || char(0)", "NUL"),
        ("command = cast(x'ff' as text)", "UTF-8"),
        ("tag = cast(x'c3' as text)", "UTF-8"),
        ("tag = 'a' || char(10)", "tag"),
        ("tag = x'61'", "tag"),
        ("priority = 'high'", "priority: 'high'"),
        ("priority = 1.5", "priority: 1.5"),
        ("attempt = 'x'", "attempt"),
        ("pid = 'x'", "pid"),
        ("elapsed = 'long'", "elapsed"),
        ("elapsed = 9e999", "elapsed"),
        ("restartable = 'true'", "restartable"),
        ("restartable = 2", "restartable"),
        ("submitted = 'yesterday'", "submitted"),
        ("started = '2026-13-01 00:00:00.000000Z'", "started"),
        ("finished = 5", "finished"),
        ("not_before = '2999-02-31 00:00:00.000000Z'", "not_before"),
        ("expires = '2999-01-01 00:00:00Z'", "expires"),
        ("runner = x'00'", "runner"),
        ("env = '{'", "env"),
        ("env = '[1]'", "env"),
        ('env = \'{"1": "x"}\'', "env"),
        ("cwd = 'a/b'", "cwd"),
        ("token = x'00'", "token"),
    ],
)
def test_what_no_job_can_have_is_refused(queue: Queue, assignment: str, message: str) -> None:
    before = list(queue.jobs())
    if message:
        with pytest.raises(UsageError, match=message) as caught:
            queue.execute(f"update jobs set {assignment} where jid = 4")  # noqa: S608
        assert "\n" not in str(caught.value)
        assert list(queue.jobs()) == before
    else:
        queue.execute(f"update jobs set {assignment} where jid = 4")  # noqa: S608
        assert queue.job(4).command == "7"


def test_the_files_of_deleted_jobs_are_removed_and_no_others(queue: Queue) -> None:
    streams = queue.path / "stdin"
    assert sorted(path.name for path in streams.iterdir()) == ["1", "2", "3", "4", "5", "6"]
    (queue.path / "stdout" / "1").write_text("out")
    queue.execute(
        "delete from jobs where jid in (1, 4, 5);"
        "insert into jobs (jid, priority, state, submitted, submitter, command, has_stdin)"
        " select 5, 0, 'pending', submitted, 'here', 'cat', 1 from jobs where jid = 2"
    )
    assert sorted(path.name for path in streams.iterdir()) == ["2", "3", "5", "6"]
    assert not (queue.path / "stdout" / "1").exists()
    (result,) = queue.execute("select count(*) from removals")
    assert result.rows is not None
    assert list(result.rows) == [(0,)] or list(result.rows) == [[0]]


@pytest.mark.parametrize("clause", ["or fail", "or abort", "or rollback", "or replace", "or ignore"])
def test_a_conflict_clause_does_not_reach_our_notes(queue: Queue, clause: str) -> None:
    update = f"update {clause} jobs set priority = 8 where jid = 4"  # noqa: S608
    queue.execute(f"{update}; {update}; delete from jobs where jid = 5")  # noqa: S608
    assert [job.jid for job in queue.query("priority=8")] == [4]


def test_a_waiting_question_holds_no_lock(rqpy: Rqpy, queue: Queue) -> None:
    def confirm() -> None:
        rqpy("submit", "--timeout=5", "true", queue=queue.path, check=True)

    queue.execute("update jobs set priority = 3", confirm=confirm)
    assert len(list(queue.query("priority=3"))) == 7


def test_who_may_only_read_can_execute_what_reads(rqpy: Rqpy, queue_path: Path) -> None:
    Queue.create(queue_path, public=True).submit("one")
    done = rqpy("execute", "select command from jobs", queue=queue_path)
    assert (done.returncode, done.stdout) == (0, "---\n-\n  command: one\n")
