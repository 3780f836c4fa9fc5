"""Keys, one transaction at a time: which job is meant, which edits are refused, and that nothing is left."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue, State
from rq_py import keys as keys_module
from rq_py.claims import bury, claim, finish, release
from rq_py.clock import utc_text
from rq_py.errors import IllegalTransition, InputError, UsageError
from rq_py.job import Reason
from rq_py.store.salvage import salvage
from tests.editing.conftest import claimed, ended

EARLY = "2004-11-12 17:37:10.000000Z"


def test_a_second_submit_is_the_first_job_until_it_has_ended(queue: Queue) -> None:
    first = queue.submit("true", key="k", restartable=True, retries=1)
    assert queue.submit("other", key="k", priority=7) == first
    queue.update(1, state="holding")
    assert queue.submit("true", key="k").state is State.HOLDING
    queue.update(1, state="pending")
    for end in ("release", "bury", "retry"):
        (job,) = claimed(queue)
        assert queue.submit("true", key="k") == queue.job(job.jid)
        with queue.store.write() as tx:
            if end == "release":
                release(tx, job.jid, job.attempt, job.token)
            elif end == "bury":
                bury(tx, job.jid, job.attempt, job.token, reason=Reason.NODE_LOST, now=utc_text())
            else:
                finish(tx, ended(job, 1))
        assert queue.submit("true", key="k") == queue.job(1), "it waits again, with its key"
    (job,) = claimed(queue)
    with queue.store.write() as tx:
        finish(tx, ended(job))
    assert [queue.submit("true", key="k").jid for _ in range(3)] == [2, 2, 2]
    assert queue.submit("true", key="l").jid == 3
    with queue.store.read() as tx:
        assert tx.execute("SELECT count(*) FROM submits WHERE first_jid > 0").fetchone() == (3,), (
            "nothing was done by the others"
        )


def test_each_of_many_by_itself(queue: Queue) -> None:
    queue.submit("first", key="a")
    specs = [JobSpec("x"), JobSpec("x", key="a"), JobSpec("y", key="b"), JobSpec("z", key="b"), JobSpec("z")]
    submitted = queue.submit_many(specs)
    for _ in range(2):
        assert [(job.jid, job.command, job.key) for job in submitted] == [
            (2, "x", None), (1, "first", "a"), (3, "y", "b"), (3, "y", "b"), (4, "z", None),
        ]  # fmt: skip
    assert (submitted.count, submitted.new, submitted.first_jid) == (5, 3, 2)
    assert str(submitted) == "jobs 2 to 4 were submitted, 2 were there with their keys"
    assert list(submitted)[0:1] + list(submitted)[2:3] == [queue.job(2), queue.job(3)]
    again = queue.submit_many(specs[1:4])
    assert [job.jid for job in again] == [1, 3, 3]
    assert (again.new, again.first_jid, str(again)) == (0, 1, "3 were there with their keys")
    assert len(list(queue.jobs())) == 4


def test_nothing_is_left_of_what_was_not_submitted(queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("x")
    specs = [JobSpec("a", key="a"), JobSpec("b"), JobSpec("c", key="a")]
    for number in range(3):
        submitted = queue.submit_many(specs, stdin=b"%d" % number, data=tmp_path / "data")
        assert [queue.stream(job.jid, "stdin").read_bytes() for job in submitted][1] == b"%d" % number
    assert queue.stream(1, "stdin").read_bytes() == b"0"
    for kind in ("stdin", "data"):
        assert sorted(os.listdir(queue.path / kind)) == ["1", "2", "3", "4"]


def test_others_are_after_the_job_that_is_there(queue: Queue) -> None:
    queue.submit("a", key="k")
    specs = [
        JobSpec("b", name="x", key="k", after=[99]),
        JobSpec("c", after="x", name="y"),
        JobSpec("d", after=["y", "x:any"]),
    ]
    jobs = list(queue.submit_many(specs))
    assert [(job.jid, job.after) for job in jobs] == [(1, None), (2, "[1]"), (3, '["1:any", 2]')]
    assert [job.after for job in queue.jobs()] == [None, "[1]", '["1:any",2]']


@pytest.mark.parametrize("between", [False, True])
def test_no_job_is_after_itself_by_its_key(queue: Queue, between: bool) -> None:
    other = [JobSpec("b", name="b", after="c")] if between else []
    specs = [JobSpec("a", key="k", after="b" if between else "c"), *other, JobSpec("c", name="c", key="k")]
    with pytest.raises(InputError, match="would be after themselves"):
        queue.submit_many(specs)
    assert list(queue.jobs()) == []


def test_what_has_expired_has_its_key_no_longer_also_where_nobody_feeds(queue: Queue) -> None:
    queue.submit("a", key="k", expires=EARLY)
    queue.submit("b", key="l", expires=EARLY)
    assert queue.submit("b", key="k").jid == 3
    queue.submit("c", key="m", expires=EARLY)
    assert queue.update(3, key="m").count == 1
    assert queue.job(4).reason == "expired"
    queue.update(3, key=None)
    queue.resubmit(2, 4)
    assert [job.state for job in queue.jobs()] == ["dead", "pending", "pending", "pending"]
    queue.update(3, expires=EARLY, key="n")
    assert queue.touch("c", key="n").count == 1
    assert queue.job(4).key == "n"


def test_edits_that_would_make_two_of_one_are_refused(queue: Queue) -> None:
    for _ in range(2):
        queue.submit("a", key="k")
        (job,) = claimed(queue)
        with queue.store.write() as tx:
            finish(tx, ended(job))
    with pytest.raises(IllegalTransition, match=r"^jobs 1 and 2 both have the key 'k': name one of them$"):
        queue.resubmit("finished")
    assert queue.resubmit(2).count == 1
    queue.submit_many([JobSpec("b", key="l"), JobSpec("c")])
    before = list(queue.jobs())
    taken = r"^job 2, which is pending, has the key 'k': wait for its end, or give another key$"
    edits: list[Callable[[], object]] = [
        lambda: queue.resubmit(1),
        lambda: queue.resubmit("finished", priority=3),
        lambda: queue.resubmit(3, key="k"),
        lambda: queue.update(3, key="k", stdin=b"new"),
        lambda: queue.touch("c", key="k"),
    ]
    for edit in edits:
        with pytest.raises(IllegalTransition, match=taken) as caught:
            edit()
        assert caught.value.exit_code == 1
    with pytest.raises(IllegalTransition, match="3 jobs cannot all have the key 'x'"):
        queue.update("pending", key="x")
    assert list(queue.jobs()) == before
    assert os.listdir(queue.path / "stdin") == []
    assert queue.resubmit("all", key=None).count == 4, "without a key they can"
    assert [job.key for job in queue.jobs()] == [None] * 4
    assert queue.update(2, key="k").count == queue.update(2, key="k").count == 1
    assert queue.resubmit("all").count == 4


def test_touch_finds_by_command_or_by_key(queue: Queue) -> None:
    assert [job.key for job in queue.touch("a", key="k")] == ["k"]
    assert [job.jid for job in queue.touch("a", key="l")] == [1]
    assert [(job.jid, job.command) for job in queue.touch("b", key="l", stdin=b"x")] == [(1, "a")]
    assert os.listdir(queue.path / "stdin") == []


def test_the_database_itself_refuses_a_second_one(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.submit("a", key="k")
    queue.submit("b")
    columns = "priority, state, submitted, submitter, command, key"
    for sql in (
        "update jobs set key = 'k' where jid = 2",
        f"insert into jobs ({columns}) values (0, 'holding', '{EARLY}', 'n', 'c', 'k')",  # noqa: S608
    ):
        with pytest.raises(UsageError, match="UNIQUE"):
            queue.execute(sql)
    with pytest.raises(UsageError, match="key: ''"):
        queue.execute("update jobs set key = '' where jid = 2")
    monkeypatch.setattr("rq_py.keys.holder", lambda tx, key: None)
    with pytest.raises(Exception, match="UNIQUE"):
        queue.submit("c", key="k")
    assert [job.key for job in queue.jobs()] == ["k", None]


def test_the_index_is_used(queue: Queue) -> None:
    queue.submit("a", key="k")
    with queue.store.read() as tx:
        tx.execute("CREATE TEMP TABLE chosen (jid INTEGER PRIMARY KEY)")
        for sql, values in (
            (keys_module._HOLDER, ["k"]),
            (keys_module._TAKEN, ["k"]),
            (keys_module._ANY_TAKEN, []),
        ):
            plan = [row[3] for row in tx.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
            assert any("jobs_key" in step for step in plan), plan
            assert not any("SCAN jobs" in step for step in plan), plan


def test_a_key_that_no_job_can_have(queue: Queue) -> None:
    for key in ("a\nb", "x" * 5000, 5):
        with pytest.raises(InputError, match="key"):
            queue.submit("a", key=key)  # type: ignore[arg-type]
    assert queue.submit("a", key="").key is None
    assert queue.submit("a", key="").jid == 2


def test_copies_and_repairs_have_the_keys(queue: Queue, tmp_path: Path) -> None:
    queue.submit_many([JobSpec("a", key="k"), JobSpec("b", key="l", restartable=True), JobSpec("c", key="m")])
    with queue.store.write() as tx:
        claim(tx, feeder="n.0", node="n", pids=[1, 2], journal="j", now=utc_text())
    backup = queue.backup(tmp_path / "b")
    assert [(job.state, job.key) for job in backup.jobs()] == [
        ("dead", "k"), ("pending", "l"), ("pending", "m"),
    ]  # fmt: skip
    assert [backup.submit("x", key=key).jid for key in "klm"] == [4, 2, 3]
    assert [job.key for job in queue.snapshot(tmp_path / "s").jobs()] == ["k", "l", "m"]


def test_no_job_is_lost_because_of_a_key_when_a_database_is_salvaged(queue: Queue) -> None:
    """One of the two looks as it was before its end: the page that said so was not written."""
    queue.submit("a", key="k")
    queue.submit("b")
    database = queue.path / "db.1" / "queue.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=PERSIST")
        connection.execute("DROP INDEX jobs_key")
        connection.execute("UPDATE jobs SET key = 'k'")
    assert salvage(database, queue.dir) == salvage(database, queue.dir)
    assert [(job.command, job.key) for job in queue.jobs()] == [("a", "k"), ("b", None)]
