"""Claims one by one: what a transition sets and clears, and what a claim costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rq_py import Job, JobSpec, Queue, State
from rq_py.claims import CLAIMABLE, Outcome, Verdict, begin, bury, claim, finish, finish_all, release
from rq_py.clock import utc_text
from rq_py.job import TRANSITIONS, Reason
from rq_py.store.transaction import Transaction


def claim_as(queue: Queue, node: str, count: int = 1, journal: str = "j0") -> list[Job]:
    """Claim in a transaction of its own."""
    with queue.store.write() as tx:
        return claim(
            tx, feeder=f"{node}.0", node=node, pids=range(1, count + 1), journal=journal, now=utc_text()
        )


def outcome(job: Job, exit_status: int = 0) -> Outcome:
    """An end of the attempt of ``job``."""
    return Outcome(job.jid, job.attempt, job.token, exit_status, None, utc_text(), 2.0, 1.0, 0.5, 1 << 20)


def write(queue: Queue, work: Callable[[Transaction], Verdict]) -> Verdict:
    """Do one transition in a transaction of its own."""
    with queue.store.write() as tx:
        return work(tx)


def test_highest_priority_first_then_oldest_and_only_what_this_node_may_run(queue: Queue) -> None:
    queue.submit_many(
        [
            JobSpec("1", priority=0),
            JobSpec("2", priority=5, required_runner="b"),
            JobSpec("3", priority=5),
            JobSpec("4", priority=9, required_runner="elsewhere"),
            JobSpec("5", priority=7, required_runner="b"),
            JobSpec("6", priority=5, required_runner="b"),
            JobSpec("7", priority=9, stage=True),
        ]
    )
    assert [job.command for job in claim_as(queue, "b", 3)] == ["5", "2", "3"]
    assert [job.command for job in claim_as(queue, "a", 9)] == ["1"]
    assert [job.command for job in claim_as(queue, "b", 9)] == ["6"]
    assert claim_as(queue, "b", 9) == []


def test_a_claim_of_nothing_claims_nothing(queue: Queue) -> None:
    queue.submit("one")
    assert claim_as(queue, "a", 0) == []
    assert queue.job(1).state is State.PENDING


def test_the_claims_of_each_transaction_have_a_token_of_their_own_in_the_journal(queue: Queue) -> None:
    queue.submit_many(JobSpec("true") for _ in range(20))
    tokens = {job.token for _ in range(10) for job in claim_as(queue, "a", 2, journal="0123abcd")}
    assert len(tokens) == 10
    assert all(token.startswith("0123abcd.") for token in tokens)


def test_jobs_that_are_claimed_ahead_have_no_pid_until_they_are_launched(queue: Queue) -> None:
    queue.submit_many(JobSpec(str(number), priority=-number) for number in range(1, 6))
    with queue.store.write() as tx:
        jobs = claim(tx, feeder="a.0", node="a", pids=[71, 72], journal="j", now=utc_text(), ahead=2)
    assert [(job.command, job.pid) for job in jobs] == [("1", 71), ("2", 72), ("3", None), ("4", None)]
    assert [(job.state, job.pid) for job in queue.jobs()] == [
        *[(State.RUNNING, pid) for pid in (71, 72, None, None)],
        (State.PENDING, None),
    ]
    third = jobs[2]
    with queue.store.write() as tx:
        assert not begin(tx, 3, third.attempt, "another", pid=73)
        assert begin(tx, 3, third.attempt, third.token, pid=73)
    assert queue.job(3).pid == 73


@pytest.mark.parametrize("further", [1, 40])
def test_many_ends_are_recorded_at_once_and_each_gets_its_verdict(queue: Queue, further: int) -> None:
    queue.submit_many(JobSpec("true") for _ in range(3 + further))
    first, second, third, *others = claim_as(queue, "a", 3 + further)
    assert write(queue, lambda tx: finish(tx, outcome(second))) is Verdict.DONE
    lost = outcome(third)._replace(attempt=7)
    ends = [outcome(first), outcome(second), lost, *(outcome(job, job.jid) for job in others)]
    with queue.store.write() as tx:
        for _ in range(2):
            verdicts = finish_all(tx, ends)
            assert [verdict is Verdict.LOST for verdict in verdicts] == [False, False, True] + [
                False
            ] * further
    assert [job.state for job in queue.jobs()] == ["finished", "finished", "running"] + ["finished"] * further
    assert [job.exit_status for job in queue.jobs()][3:] == [job.jid for job in others]


def test_many_ends_of_jobs_alike_are_done(queue: Queue) -> None:
    queue.submit_many(JobSpec("true", retries=job % 2) for job in range(30))
    ends = [outcome(job, 0) for job in claim_as(queue, "a", 30)]
    for verdict in (Verdict.DONE, Verdict.ALREADY):
        with queue.store.write() as tx:
            assert finish_all(tx, ends) == [verdict] * 30


def test_finish_writes_how_it_ended_once(queue: Queue) -> None:
    queue.submit("true")
    (job,) = claim_as(queue, "a")
    assert write(queue, lambda tx: finish(tx, outcome(job, 42))) is Verdict.DONE
    done = queue.job(1)
    assert (done.state, done.exit_status, done.elapsed, done.max_rss) == (State.FINISHED, 42, 2.0, 1 << 20)
    assert write(queue, lambda tx: finish(tx, outcome(job, 1))) is Verdict.ALREADY
    assert queue.job(1) == done
    assert write(queue, lambda tx: release(tx, 1, job.attempt, job.token)) is Verdict.ALREADY
    buried = lambda tx: bury(tx, 1, 1, job.token, reason=Reason.STOPPED, now=utc_text())  # noqa: E731
    assert write(queue, buried) is Verdict.ALREADY
    assert queue.job(1) == done


@pytest.mark.parametrize(
    ("attempt", "token"), [(0, None), (2, None), (1, ""), (1, "j0.other"), (1, "%"), (1, "J0")]
)
def test_a_wrong_guard_changes_nothing(queue: Queue, attempt: int, token: str | None) -> None:
    queue.submit("true")
    (job,) = claim_as(queue, "a")
    wrong = job._replace(attempt=attempt, token=job.token if token is None else token)
    for work in (
        lambda tx: finish(tx, outcome(wrong)),
        lambda tx: release(tx, 1, wrong.attempt, wrong.token),
        lambda tx: bury(tx, 1, wrong.attempt, wrong.token, reason=Reason.STOPPED, now=utc_text()),
    ):
        assert write(queue, work) is Verdict.LOST
        assert queue.job(1) == job


def test_the_guard_of_a_pending_job_matches_nothing(queue: Queue) -> None:
    queue.submit("true")
    before = queue.job(1)
    assert write(queue, lambda tx: finish(tx, outcome(before))) is Verdict.LOST
    assert queue.job(1) == before


def test_released_it_looks_as_submitted_but_for_the_attempt(queue: Queue) -> None:
    before = queue.submit("true", priority=3, runner="a")
    (job,) = claim_as(queue, "a")
    assert write(queue, lambda tx: release(tx, 1, job.attempt, job.token)) is Verdict.DONE
    assert queue.job(1) == before._replace(attempt=1)
    (again,) = claim_as(queue, "a")
    assert again.attempt == 2
    assert again.token != job.token
    # The first attempt comes too late.
    assert write(queue, lambda tx: finish(tx, outcome(job))) is Verdict.LOST
    assert queue.job(1) == again


def test_a_lost_node_may_return_with_the_result_once(queue: Queue) -> None:
    queue.submit("true")
    (job,) = claim_as(queue, "a")
    buried = lambda tx: bury(tx, 1, 1, job.token, reason=Reason.NODE_LOST, now=utc_text())  # noqa: E731
    assert write(queue, buried) is Verdict.DONE
    dead = queue.job(1)
    assert (dead.state, dead.reason) == (State.DEAD, "node_lost")
    assert dead.finished
    assert write(queue, lambda tx: finish(tx, outcome(job, 7))) is Verdict.DONE
    done = queue.job(1)
    assert (done.state, done.exit_status, done.reason) == (State.FINISHED, 7, None)
    assert write(queue, lambda tx: finish(tx, outcome(job, 8))) is Verdict.ALREADY
    assert queue.job(1) == done


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.NODE_LOST])
def test_dead_for_another_reason_stays_dead(queue: Queue, reason: Reason) -> None:
    queue.submit("true")
    (job,) = claim_as(queue, "a")
    write(queue, lambda tx: bury(tx, 1, 1, job.token, reason=reason, now=utc_text()))
    dead = queue.job(1)
    assert dead.reason == reason
    assert write(queue, lambda tx: finish(tx, outcome(job))) is Verdict.ALREADY
    assert queue.job(1) == dead


def test_a_restartable_job_is_not_buried_but_goes_back(queue: Queue) -> None:
    queue.submit("true", restartable=True)
    (job,) = claim_as(queue, "a")
    buried = lambda tx: bury(tx, 1, 1, job.token, reason=Reason.NODE_LOST, now=utc_text())  # noqa: E731
    assert write(queue, buried) is Verdict.DONE
    assert (queue.job(1).state, queue.job(1).attempt) == (State.PENDING, 1)
    assert write(queue, buried) is Verdict.LOST
    assert write(queue, lambda tx: finish(tx, outcome(job))) is Verdict.LOST


def test_a_claim_clears_what_an_earlier_attempt_left(queue: Queue) -> None:
    queue.submit("true")
    (job,) = claim_as(queue, "a")
    write(queue, lambda tx: finish(tx, outcome(job, 1)))
    with queue.store.write() as tx:  # as resubmit does
        tx.execute("UPDATE jobs SET state = 'pending', token = ''")
    (again,) = claim_as(queue, "b")
    assert (again.attempt, again.runner, again.feeder) == (2, "b", "b.0")
    for field in (
        "finished",
        "elapsed",
        "exit_status",
        "signal",
        "reason",
        "user_cpu",
        "system_cpu",
        "max_rss",
    ):
        assert getattr(again, field) is None


def test_every_verb_here_is_in_the_table() -> None:
    assert {"claim", "finish", "release", "bury"} <= TRANSITIONS.keys()


def test_the_plan_of_a_claim_is_two_short_index_scans(queue: Queue) -> None:
    with queue.store.read() as tx:
        rows = tx.execute(f"EXPLAIN QUERY PLAN {CLAIMABLE}", {"node": "a", "limit": 4}).fetchall()
    steps = [(row[0], row[1], row[3]) for row in rows]
    details = [detail for _, _, detail in steps]
    searches = [detail for detail in details if "INDEX jobs_ready (ready=?)" in detail]
    assert len(searches) == 2, details
    scans = [detail for detail in details if detail.startswith("SCAN") and "jobs" in detail]
    assert scans == [], details
    # One sort, of what the two scans have found: 2 * limit rows at most. None inside the scans.
    sorts = [(parent, detail) for _, parent, detail in steps if "B-TREE" in detail]
    assert len(sorts) == 1, details
    assert sorts[0][0] == 0, details


def count_steps(queue: Queue, work: Callable[[Transaction], object]) -> int:
    """How many hundreds of instructions of SQLite's virtual machine ``work`` takes, rolled back."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    class RollBackError(Exception):
        pass

    with pytest.raises(RollBackError), queue.store.write() as tx:
        tx._connection.set_progress_handler(step, 100)
        work(tx)
        tx._connection.set_progress_handler(None, 0)
        raise RollBackError
    return steps


def test_many_pending_jobs_do_not_make_a_claim_longer(queue: Queue) -> None:
    def fill(count: int) -> None:
        with queue.store.write() as tx:
            tx.execute(
                """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                   INSERT INTO jobs (priority, state, submitted, submitter, command, required_runner)
                   SELECT i % 7, 'pending', '', '', 'true',
                          CASE i % 5 WHEN 0 THEN 'a' WHEN 1 THEN 'elsewhere' END FROM n""",
                (count,),
            )

    def work(tx: Transaction) -> None:
        assert len(claim(tx, feeder="a.0", node="a", pids=range(16), journal="j", now="")) == 16

    fill(1000)
    few = count_steps(queue, work)
    fill(199_000)
    many = count_steps(queue, work)
    assert few > 0
    assert many <= few * 1.5 + 2, (few, many)
