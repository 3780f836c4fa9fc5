"""What is due, and retries, one transaction at a time."""

from __future__ import annotations

import json

import pytest

from rq_py import Job, JobSpec, Queue, State
from rq_py.claims import Outcome, Verdict, bury, claim, finish, finish_all, release
from rq_py.clock import seconds_of, utc_text
from rq_py.errors import InputError
from rq_py.formats.moments import moment, seconds
from rq_py.job import Reason
from rq_py.timing import Passed, pass_due
from tests.store.tally import assert_kept

EARLY, LATE = "2004-11-12 17:37:10.000000Z", "2999-01-01 00:00:00.000000Z"


def claimed(queue: Queue, count: int = 1) -> list[Job]:
    """Claim as a feeder does."""
    with queue.store.write() as tx:
        return claim(tx, feeder="a.0", node="a", pids=range(1, count + 1), journal="j", now=utc_text())


def outcome(job: Job, exit_status: int | None = 1, signal: int | None = None) -> Outcome:
    """An end of the attempt of ``job``."""
    end = (utc_text(), 2.0, 1.0, 0.5, 1 << 20)
    return Outcome(job.jid, job.attempt, job.token, exit_status, signal, *end, pid=77)


def past(queue: Queue, most: int = 5000) -> Passed:
    """What a tick does."""
    with queue.store.write() as tx:
        passed = pass_due(tx, utc_text(), most)
        assert_kept(tx)
        return passed


def test_what_is_due_is_passed_in_batches(queue: Queue) -> None:
    queue.submit_many(JobSpec("true", not_before=LATE) for _ in range(10))
    queue.submit_many(JobSpec("true", expires=EARLY) for _ in range(10))
    queue.submit("true", not_before=LATE, expires=LATE)
    assert claimed(queue) == [], "what has expired is not claimed, whoever has not looked yet"
    with queue.store.write() as tx:
        tx.execute("UPDATE jobs SET not_before = ? WHERE jid <= 10", (EARLY,))
    assert past(queue, 4) == (4, 4, EARLY)
    assert past(queue, 4) == (4, 4, EARLY)
    assert past(queue, 4) == (2, 2, LATE)
    assert past(queue, 4) == (0, 0, LATE)
    assert len(claimed(queue, 30)) == 10
    assert {job.reason for job in queue.jobs("dead")} == {"expired"}
    queue.delete("pending")
    assert past(queue) == (0, 0, None)


def test_what_was_claimed_in_time_does_not_expire_between_its_attempts(queue: Queue) -> None:
    queue.submit("false", expires=LATE, retries=1, backoff=3600)
    queue.submit("true", expires=LATE, restartable=True)
    queue.submit("true", expires=LATE)
    one, two, three = claimed(queue, 3)
    with queue.store.write() as tx:
        finish(tx, outcome(one))
        bury(tx, two.jid, two.attempt, two.token, reason=Reason.NODE_LOST, now=utc_text())
        release(tx, three.jid, three.attempt, three.token)
    assert [job.expires for job in queue.jobs()] == [None, None, LATE], "the third has not run"
    assert {job.state for job in queue.jobs()} == {State.PENDING}


def test_only_its_own_bit_is_cleared(queue: Queue) -> None:
    queue.submit("true", not_before=LATE)
    with queue.store.write() as tx:
        tx.execute("UPDATE jobs SET waits = waits | 8, not_before = ?", (EARLY,))
    assert past(queue).opened == 1
    with queue.store.read() as tx:
        assert tx.execute("SELECT waits, ready, due FROM jobs").fetchone() == (8, None, None)


def test_an_update_evaluates_the_time_anew(queue: Queue) -> None:
    queue.submit("true")
    for time, is_ready in ((LATE, False), (EARLY, True), ("+1h", False), (None, True)):
        queue.update(1, not_before=time)
        with queue.store.read() as tx:
            assert tx.execute("SELECT ready IS NOT NULL FROM jobs").fetchone() == (is_ready,)
    queue.execute("update jobs set not_before = '2999-01-01 00:00:00.000000Z'")
    assert claimed(queue) == []


def test_the_index_of_what_is_due_is_used(queue: Queue) -> None:
    with queue.store.read() as tx:
        for sql in (
            "SELECT min(due) FROM jobs WHERE due IS NOT NULL",
            "SELECT jid FROM jobs WHERE due <= '' AND expires <= '' ORDER BY due LIMIT 5",
            "SELECT jid FROM jobs WHERE due <= '' AND waits & 1 ORDER BY due LIMIT 5",
        ):
            (detail,) = [row[3] for row in tx.execute(f"EXPLAIN QUERY PLAN {sql}")]
            assert "jobs_due" in detail


@pytest.mark.parametrize("many", [False, True])
def test_a_retry_is_recorded_once(queue: Queue, many: bool) -> None:
    further = 10 if many else 0
    specs = [JobSpec("false", retries=2, backoff=3600.0), JobSpec("true", retries=2)]
    queue.submit_many([*specs, *[JobSpec("true")] * further])
    first, *others = claimed(queue, 2 + further)
    ends = [outcome(first), *(outcome(job, 0) for job in others)]
    for verdict in (Verdict.DONE, Verdict.ALREADY, Verdict.ALREADY):
        with queue.store.write() as tx:
            verdicts = finish_all(tx, ends) if many else [finish(tx, end) for end in ends]
            # With one that is special among them, the others are recorded first and then found to be so.
            assert verdicts == [verdict, *[Verdict.ALREADY if many else verdict] * (1 + further)]
            assert_kept(tx)
    job = queue.job(1)
    assert (job.state, job.attempt, job.started, job.exit_status) == (State.PENDING, 1, None, None)
    assert seconds_of(job.not_before or "") == pytest.approx(seconds_of(ends[0].finished) + 3600)
    (kept,) = json.loads(job.attempts or "[]")
    assert (kept["attempt"], kept["exit_status"], kept["pid"], kept["runner"]) == (1, 1, 77, "a")
    assert queue.job(2).state is State.FINISHED
    queue.update(1, not_before=None)
    (again,) = claimed(queue)
    with queue.store.write() as tx:
        assert finish(tx, ends[0]) is Verdict.ALREADY, "also while the next attempt runs"
        late = outcome(again, None, 9)
        assert finish(tx, late) is Verdict.DONE
    assert seconds_of(queue.job(1).not_before or "") == pytest.approx(seconds_of(late.finished) + 7200)


def test_a_timeout_is_a_failure_whatever_the_exit_status(queue: Queue) -> None:
    queue.submit("true", retries=1)
    (job,) = claimed(queue)
    with queue.store.write() as tx:
        assert finish(tx, outcome(job, 0)._replace(reason="timeout")) is Verdict.DONE
    assert queue.job(1).state is State.PENDING


def test_a_backoff_is_bounded(queue: Queue) -> None:
    queue.submit("false", retries=1000, backoff=1e9)
    with queue.store.write() as tx:
        tx.execute("UPDATE jobs SET retried = 999")
    (job,) = claimed(queue)
    with queue.store.write() as tx:
        assert finish(tx, outcome(job)) is Verdict.DONE
    assert (queue.job(1).not_before or "") < "2200"


def test_a_lost_node_is_no_failure(queue: Queue) -> None:
    """Its job is not tried again when the node returns with an exit, for it was said to be dead."""
    queue.submit("false", retries=1)
    (job,) = claimed(queue)
    with queue.store.write() as tx:
        bury(tx, 1, 1, job.token, reason=Reason.NODE_LOST, now=utc_text())
        assert finish(tx, outcome(job)) is Verdict.DONE
    assert queue.job(1).state is State.FINISHED


def test_a_buried_attempt_is_kept_and_its_exit_refused(queue: Queue) -> None:
    queue.submit("true", restartable=True)
    (job,) = claimed(queue)
    with queue.store.write() as tx:
        assert bury(tx, 1, 1, job.token, reason=Reason.NODE_LOST, now=utc_text()) is Verdict.DONE
        assert bury(tx, 1, 1, job.token, reason=Reason.NODE_LOST, now=utc_text()) is Verdict.LOST
        assert finish(tx, outcome(job)) is Verdict.LOST, "what runs of it must end"
    (kept,) = json.loads(queue.job(1).attempts or "[]")
    assert (kept["attempt"], kept["reason"], kept["exit_status"]) == (1, "node_lost", None)


def test_a_resubmit_begins_to_count_anew(queue: Queue) -> None:
    queue.submit("false", retries=1)
    for _ in range(2):
        for state in (State.PENDING, State.FINISHED):
            (job,) = claimed(queue)
            with queue.store.write() as tx:
                finish(tx, outcome(job))
            assert queue.job(1).state is state
        queue.resubmit(1)
    assert [one["attempt"] for one in json.loads(queue.job(1).attempts or "[]")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90", 90),
        ("0.5", 0.5),
        ("30m", 1800),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1.5h", 5400),
        ("1w", 604800),
    ],
)
def test_durations(text: str, found: float) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-11-20 15:06:49.514387Z", "2026-11-20 15:06:49.514387Z"),
        ("2026-11-20", "2026-11-20 00:00:00.000000Z"),
        ("2026-11-20T15:06+02:00", "2026-11-20 13:06:00.000000Z"),
        ("+1h", "1970-01-01 01:00:00.000000Z"),
    ],
)
def test_moments(text: str, found: str) -> None:
    assert moment(text, 0.0) == found


@pytest.mark.parametrize(
    "values",
    [
        {"not_before": "soon"}, {"not_before": "+"}, {"expires": "+1x"},
        {"expires": "0001-01-01T00:00+23:00"},
        {"timeout": -1.0}, {"timeout": float("nan")}, {"backoff": 1e12}, {"retries": -1}, {"retries": 1.5},
    ],
)  # fmt: skip
def test_what_no_job_can_have_is_refused(queue: Queue, values: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(values))):
        queue.submit("true", **values)  # type: ignore[arg-type]
