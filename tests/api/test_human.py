"""Human steps, one transaction at a time: what nobody claims, and what a person completes."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue, State
from rq_py.claims import finish
from rq_py.clock import utc_text
from rq_py.errors import InputError, UsageError
from rq_py.status import status
from rq_py.store.salvage import salvage
from rq_py.timing import pass_due
from tests.api.settling import is_open, settled
from tests.editing.conftest import claimed, ended
from tests.store.tally import assert_kept

EARLY, LATE = "2004-11-12 17:37:10.000000Z", "2999-01-01 00:00:00.000000Z"
QUEUES = Path(__file__).resolve().parent.parent / "store" / "queues"


def waits(queue: Queue, jid: int) -> int:
    """The column of a job."""
    with queue.store.read() as tx:
        (found,) = tx.execute("SELECT waits FROM jobs WHERE jid = ?", (jid,)).fetchone()
        assert isinstance(found, int)
        return found


def test_no_feeder_claims_it_whatever_is_done_to_it(queue: Queue) -> None:
    queue.submit("look", kind="human", not_before=EARLY)
    edits: list[Callable[[], object]] = [
        lambda: queue.update(1, state="holding"),
        lambda: queue.update(1, state="pending", not_before="+1h", after=None),
        lambda: queue.update(1, not_before=None, runner="n", restartable=True, retries=3),
        lambda: queue.resubmit(1),
        lambda: queue.execute("update jobs set priority = 7, waits = 0"),
        lambda: queue.complete(1, fail=True),
        lambda: queue.resubmit(1),
    ]
    for edit in edits:
        edit()
        assert claimed(queue, 5) == []
        assert waits(queue, 1) & 32
    queue.execute("update jobs set kind = null")
    assert [job.jid for job in claimed(queue)] == [1], "it is a command now"


def test_who_has_completed_it_and_what_was_said(queue: Queue, this_node: str) -> None:
    queue.submit_many([JobSpec("look", kind="human"), JobSpec("decide", kind="human")])
    (one,) = queue.complete(1, note="two\nlines: é")
    (two,) = queue.complete(2, fail=True, note="")
    me = pwd.getpwuid(os.getuid()).pw_name
    assert (one.state, one.exit_status, one.note) == (State.FINISHED, 0, "two\nlines: é")
    assert (two.state, two.exit_status, two.note) == (State.FINISHED, 1, None)
    assert one.completed_by == two.completed_by == f"{me}@{this_node}"
    assert (one.attempt, one.started, one.elapsed, one.runner, one.pid) == (1, None, None, None, None)
    assert one.submitted <= (one.finished or "") <= (two.finished or "")
    with queue.store.read() as tx:
        assert_kept(tx)


def test_how_it_was_completed_before_is_kept(queue: Queue) -> None:
    queue.submit("look", kind="human")
    for number in (1, 2):
        queue.complete(1, fail=True, note=f"wrong {number}")
        (job,) = queue.resubmit(1)
        assert (job.state, job.completed_by, job.note, job.exit_status) == (State.PENDING, None, None, None)
    (job,) = queue.complete(1, note="right")
    kept = json.loads(job.attempts or "[]")
    assert [(one["attempt"], one["exit_status"], one["note"]) for one in kept] == [
        (1, 1, "wrong 1"), (2, 1, "wrong 2"),
    ]  # fmt: skip
    assert {one["completed_by"] for one in kept} == {job.completed_by}
    assert job.attempt == 3


def test_what_is_refused_and_the_others_are_completed(queue: Queue) -> None:
    human = JobSpec("look", kind="human")
    specs = [
        JobSpec("command"), human._replace(stage=True), human._replace(after=[1]),
        human._replace(not_before=LATE), human._replace(expires=EARLY), human, human,
    ]  # fmt: skip
    queue.submit_many(specs)
    edited = queue.complete(1, 2, 3, 4, 5, 6, 99, 6)
    assert [job.jid for job in edited] == [6]
    assert sorted(map(tuple, edited.refused)) == [
        (1, "no human step"),
        (2, "holding"),
        (3, "after others that have not ended"),
        (4, "not to be done yet"),
        (5, "dead"),
    ]
    assert [row[0] for row in edited.missing] == [99]
    assert queue.job(5).reason == "expired"
    again = queue.complete(6, fail=True)
    assert (again.count, [tuple(row) for row in again.refused]) == (0, [(6, "finished")])
    assert queue.job(6).exit_status == 0
    calls: list[Callable[[], object]] = [
        queue.complete,
        lambda: queue.complete("all"),
        lambda: queue.complete("pending"),
        lambda: queue.complete(7, "pending"),
        lambda: queue.complete(0),
    ]
    for call in calls:
        with pytest.raises(UsageError):
            call()
    for note in ("a\0b", "\udc80", "x" * 65_537):
        with pytest.raises(InputError, match="note"):
            queue.complete(7, note=note)
    assert queue.job(7).state is State.PENDING


def test_steps_follow_one_another_where_nobody_feeds(queue: Queue) -> None:
    human = JobSpec("look", kind="human")
    queue.submit_many([human, human._replace(after=[1]), human._replace(after=[2]), human])
    queue.submit("sorry", after="3:failed")
    for jid in (1, 2):
        assert queue.complete(jid).count == 1
    assert queue.complete(3, fail=True).count == 1
    settled(queue)
    assert is_open(queue, 5)
    queue.resubmit(2)
    queue.resubmit(3)
    assert queue.complete(3).count == 0, "it waits for the one before again"
    assert queue.complete(2).count == queue.complete(3).count == 1
    settled(queue)
    assert queue.job(5).reason == "dependency"


def test_it_expires_and_is_deleted_as_others_are(queue: Queue) -> None:
    queue.submit("look", kind="human", expires=EARLY)
    queue.submit("look", kind="human", stdin=b"x")
    with queue.store.write() as tx:
        assert pass_due(tx, utc_text()).expired == 1
    assert queue.job(1).state is State.DEAD
    assert queue.resubmit(1).count == queue.complete(1).count == 1
    assert queue.delete(1, 2).count == 2
    assert os.listdir(queue.path / "stdin") == []


def test_it_may_have_a_key(queue: Queue) -> None:
    assert [queue.submit("look", kind="human", key="k").jid for _ in range(2)] == [1, 1]
    queue.complete(1)
    assert queue.submit("look", kind="human", key="k").jid == 2


def test_touch_means_commands(queue: Queue) -> None:
    queue.submit("make", kind="human")
    assert [job.jid for job in queue.touch("make")] == [2]
    assert [job.jid for job in queue.touch("make")] == [2]


def test_the_time_of_a_job_is_that_of_a_command(queue: Queue) -> None:
    """And the index by which human steps are counted is one that no claim and no finish changes."""
    queue.submit_many([JobSpec("true"), JobSpec("look", kind="human"), JobSpec("look", kind="human")])
    (job,) = claimed(queue)
    with queue.store.write() as tx:
        finish(tx, ended(job))
    queue.complete(2)
    queue.complete(3, fail=True)
    with queue.store.read() as tx:
        found = status(tx, {"one": [1]})
        sql = "SELECT count(*) FROM jobs WHERE kind IS NOT NULL AND +state = 'finished'"
        (step,) = tx.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
    assert "jobs_kind" in step[3]
    assert found["performance"]["avg_time_per_job"] == "00h00m02.00s"  # type: ignore[index]
    assert found["exit_status"] == {"successes": 2, "failures": 1, "one": 1}
    assert found["jobs"]["finished"] == 3  # type: ignore[index]


def test_only_one_kind_is_known(queue: Queue) -> None:
    with pytest.raises(InputError, match="kind: 'robot' is not human"):
        queue.submit("a", kind="robot")
    with pytest.raises(UsageError, match="kind"):
        queue.execute(
            "insert into jobs (priority, state, submitted, submitter, command, kind) "
            "values (0, 'pending', '2004-11-12 17:37:10.000000Z', 'n', 'c', 'robot')"
        )
    queue.submit("a")
    with pytest.raises(UsageError, match="kind"):
        queue.execute("update jobs set kind = ''")
    assert queue.submit("a", kind="").kind is None


def test_copies_have_it(queue: Queue, tmp_path: Path) -> None:
    queue.submit_many([JobSpec("look", kind="human"), JobSpec("look", kind="human", after=[1])])
    queue.complete(1, note="well")
    backup = queue.backup(tmp_path / "b")
    assert backup.complete(2).count == 1
    assert [(job.kind, job.note) for job in Queue(tmp_path / "b").jobs()] == [
        ("human", "well"), ("human", None),
    ]  # fmt: skip
    queue.rotate(tmp_path / "r")
    assert [(job.jid, job.note) for job in Queue(tmp_path / "r").jobs()] == [(1, "well")]
    assert queue.complete(2).count == 1


def test_what_is_salvaged_has_its_earlier_attempts(queue: Queue, tmp_path: Path) -> None:
    """Also those of an old schema, whose attempts knew nothing of people."""
    queue.submit("look", kind="human")
    queue.complete(1, fail=True, note="wrong")
    queue.resubmit(1)
    salvage(queue.path / "db.1" / "queue.db", queue.dir)
    assert json.loads(queue.job(1).attempts or "[]")[0]["note"] == "wrong"
    assert waits(queue, 1) == 32
    subprocess.run(["tar", "-xf", QUEUES / "format-3.tar", "-C", tmp_path], check=True)
    old = tmp_path / "format-3"
    with closing(sqlite3.connect(old / "db.1" / "queue.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=PERSIST")
        connection.execute("UPDATE jobs SET attempt = 2 WHERE jid = 4")
        connection.execute("INSERT INTO attempts (jid, attempt, token, exit_status) VALUES (4, 1, 't', 9)")
    queue = Queue(old)
    salvage(old / "db.1" / "queue.db", queue.dir)
    assert json.loads(queue.job(4).attempts or "[]")[0]["exit_status"] == 9
    shutil.rmtree(old)
