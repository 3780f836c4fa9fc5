"""Jobs after other jobs, one transaction at a time: what is open, and what is buried."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rq_py import JobSpec, Queue, State
from rq_py.claims import bury
from rq_py.clock import utc_text
from rq_py.dependencies import settle
from rq_py.errors import InputError
from rq_py.job import Reason
from tests.api.settling import claimed, end, is_open, run, settled

LATE = "2999-01-01 00:00:00.000000Z"


@pytest.mark.parametrize(
    ("exit_status", "reason", "ok", "failed"),
    [
        (0, None, True, False),
        (1, None, False, True),
        (None, None, False, True),
        (0, "timeout", False, True),
    ],
)
def test_how_it_has_ended(
    queue: Queue, exit_status: int | None, reason: str | None, ok: bool, failed: bool
) -> None:
    queue.submit("true")
    for condition in ("", ":ok", ":failed", ":any"):
        queue.submit("true", after=f"1{condition}")
    assert len(claimed(queue, 10)) == 1
    queue.execute("update jobs set state = 'pending', token = '', attempt = 0 where jid = 1")
    settled(queue)
    run(queue, 1, exit_status, reason)
    expected = [ok, ok, failed, True]
    assert [is_open(queue, jid) for jid in (2, 3, 4, 5)] == expected
    states = [State.PENDING if one else State.DEAD for one in expected]
    assert [queue.job(jid).state for jid in (2, 3, 4, 5)] == states
    assert {job.reason for job in queue.jobs("dead")} == {"dependency"}


def test_what_has_ended_at_the_submit_is_evaluated_at_once(queue: Queue) -> None:
    queue.submit("true")
    run(queue, 1)
    first = queue.submit("true", after=1)
    second = queue.submit("true", after="1:failed")
    assert (first.state, second.state, second.reason) == (State.PENDING, State.DEAD, "dependency")
    assert queue.job(3) == second
    third, fourth = queue.submit_many([JobSpec("a", after="3"), JobSpec("b", after=["3:any"])])
    assert (third.state, fourth.state) == (State.DEAD, State.PENDING)
    assert queue.job(4) == third
    assert is_open(queue, 2)
    assert is_open(queue, 5)
    sixth, seventh = queue.submit_many([JobSpec("b", after="x"), JobSpec("a", name="x", after="3")])
    assert (sixth.state, seventh.state) == (State.DEAD, State.DEAD), (
        "also what comes before the one that it is after"
    )
    assert [job.state for job in queue.jobs(6, 7)] == [State.DEAD, State.DEAD]
    assert claimed(queue, 9) == [queue.job(2), queue.job(5)]


def test_the_dead_bury_those_after_them(queue: Queue) -> None:
    queue.submit("true", stage=True, expires="2004-11-12")
    for jid in range(1, 10):
        queue.submit("true", after=jid)
    queue.submit("true", after="10:any,1:any")
    queue.execute("update jobs set state = 'dead', reason = 'expired' where jid = 1")
    assert settled(queue) == 9
    assert is_open(queue, 11)


def test_a_failed_attempt_that_is_tried_again_is_no_end(queue: Queue) -> None:
    queue.submit("false", retries=1)
    queue.submit("true", after=1)
    run(queue, 1, 1)
    assert (queue.job(1).state, queue.job(2).state) == (State.PENDING, State.PENDING)
    assert not is_open(queue, 2)
    run(queue, 1, 0)
    assert is_open(queue, 2)


def test_a_lost_node_has_failed_until_it_returns(queue: Queue) -> None:
    """What was buried for it stays dead: only a person lets it live again."""
    queue.submit("true")
    queue.submit("true", after=1)
    queue.submit("true", after="1:failed", stage=True)
    (job,) = claimed(queue)
    with queue.store.write() as tx:
        bury(tx, 1, 1, job.token, reason=Reason.NODE_LOST, now=utc_text())
    settled(queue)
    assert queue.job(2).state is State.DEAD
    end(queue, job)
    assert settled(queue) == 1
    assert [job.state for job in queue.jobs()] == [State.FINISHED, State.DEAD, State.DEAD]
    queue.resubmit(2)
    settled(queue)
    assert is_open(queue, 2)


def test_what_is_deleted_has_ended_as_it_had_or_has_failed(queue: Queue) -> None:
    """Also when the delete comes before anybody has settled the end."""
    queue.submit_many([JobSpec("true"), JobSpec("true")])
    for after in ("1", "1:failed", "2", "2:failed", "2:any"):
        queue.submit("true", after=after)
    (job,) = claimed(queue)
    end(queue, job)
    queue.delete(1, 2)
    settled(queue)
    dead = [queue.job(jid).state is State.DEAD for jid in range(3, 8)]
    assert dead == [False, True, True, False, False]
    queue.resubmit("all")
    settled(queue)
    assert [queue.job(jid).state is State.DEAD for jid in range(3, 8)] == dead, "and that is remembered"
    queue.delete("all")
    settled(queue)
    with queue.store.read() as tx:
        assert tx.execute("SELECT count(*) FROM dependencies").fetchone() == (0,)
        assert tx.execute("SELECT count(*) FROM settling").fetchone() == (0,)


def test_a_resubmit_of_both_keeps_the_order(queue: Queue) -> None:
    """Also when a feeder has settled only the one that waits: it is not claimed before the other has run."""
    queue.submit("true", stage=True)
    queue.submit("true")
    queue.submit("true", after="1,2")
    queue.update(1, state="pending")
    run(queue, 1)
    run(queue, 2)
    run(queue, 3)
    queue.resubmit("finished")
    assert [job.jid for job in claimed(queue, 9)] == [1, 2]
    settled(queue, 1)
    assert not is_open(queue, 3)


def test_what_is_resubmitted_is_not_opened_by_what_was_true_before(queue: Queue) -> None:
    """A feeder may have settled it, and not yet the job that it is after."""
    queue.submit_many([JobSpec("true", stage=True), JobSpec("true")])
    queue.update(1, after=2, state="pending")
    run(queue, 2)
    run(queue, 1)
    queue.resubmit(1, 2)
    with queue.store.write() as tx:
        assert settle(tx, utc_text(), 1).is_rest
    assert not is_open(queue, 1)


def test_what_is_still_to_be_settled_is_not_opened_by_another(queue: Queue) -> None:
    queue.submit_many([JobSpec("true"), JobSpec("true"), JobSpec("true", after=[1, 2])])
    for jid in (1, 2, 3):
        run(queue, jid)
    queue.resubmit(1)
    settled(queue)
    (job,) = claimed(queue)
    end(queue, job)
    queue.resubmit(2, 3)
    with queue.store.write() as tx:
        assert settle(tx, utc_text(), 1).is_rest
    assert not is_open(queue, 3)
    settled(queue)
    run(queue, 2)
    assert is_open(queue, 3)


def test_what_was_open_closes_when_the_other_runs_again(queue: Queue) -> None:
    queue.submit("true")
    queue.submit("true", after=1, not_before=LATE)
    run(queue, 1)
    queue.resubmit(1)
    settled(queue)
    queue.update(2, not_before=None)
    assert not is_open(queue, 2)
    run(queue, 1)
    assert is_open(queue, 2)


def test_conditions_of_several_kinds_are_independent(queue: Queue) -> None:
    queue.submit("true")
    queue.submit("true", after=1, not_before=LATE)
    run(queue, 1)
    assert not is_open(queue, 2)
    queue.update(2, not_before=None)
    assert is_open(queue, 2)


def test_an_update_changes_what_a_job_is_after(queue: Queue) -> None:
    queue.submit_many(JobSpec("others") for _ in range(3))
    queue.submit("true", after=1)
    queue.update(4, after="2:any,3")
    assert queue.job(4).after == '["2:any",3]'
    run(queue, 2)
    queue.update(4, after=[2])
    assert is_open(queue, 4)
    queue.update(4, after=3)
    assert not is_open(queue, 4)
    for wrong in ("4", "5", "build", [3, 4]):
        with pytest.raises(InputError, match="after"):
            queue.update(4, after=wrong)
    with pytest.raises(InputError, match=r"job [13] would be after itself"):
        queue.update(3, 1, after=4)
    assert queue.job(4).after == "[3]"
    queue.update(4, after=None)
    assert queue.job(4).after is None
    assert is_open(queue, 4)
    queue.touch("true", after=1)
    assert (queue.job(4).after, is_open(queue, 4)) == ("[1]", False)


def test_a_users_sql_is_settled(queue: Queue) -> None:
    queue.submit("true")
    queue.submit("true", after=1)
    queue.execute("update jobs set waits = 0, links = 0")
    assert not is_open(queue, 2)
    queue.execute("replace into jobs (jid, priority, state, submitted, submitter, command)"
                  " select 1, 1, 'finished', submitted, 'here', 'true' from jobs where jid = 1")  # fmt: skip
    settled(queue)
    assert queue.job(2).state is State.DEAD, "it ended without an exit status"
    queue.execute(
        "update jobs set exit_status = 0 where jid = 1; update jobs set state = 'pending' where jid = 2"
    )
    settled(queue)
    assert is_open(queue, 2)


def test_a_collector_needs_others_and_no_stdin(queue: Queue) -> None:
    queue.submit("true")
    queue.submit("true", after=1, collect=True)
    for wrong in (
        lambda: queue.submit("true", collect=True),
        lambda: queue.submit("true", collect=True, after=1, stdin=b"x"),
        lambda: queue.update(1, collect=True),
        lambda: queue.update(2, after=None),
        lambda: queue.update(2, stdin=b"x"),
        lambda: queue.touch("new", collect=True),
    ):
        with pytest.raises(InputError, match="collect"):
            wrong()
    assert [job.collect for job in queue.jobs()] == [False, True]


def test_names_hold_within_one_submit(queue: Queue) -> None:
    queue.submit("true")
    jobs = list(
        queue.submit_many(
            [
                JobSpec("c", after=["a:any", "b"]),
                JobSpec("a", name="a", after=[1]),
                JobSpec("b", name="b", after="a"),
            ]
        )
    )
    assert [job.after for job in jobs] == ['["3:any", 4]', "[1]", "[3]"]
    assert [job.jid for job in claimed(queue, 9)] == [1]
    with pytest.raises(InputError, match="no job of this submit is called so"):
        queue.submit("true", after="a")


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([JobSpec("a", name="a", after="a")], "after itself"),
        ([JobSpec("a", name="a", after="b"), JobSpec("b", name="b", after="a:any")], "after itself"),
        ([JobSpec("a", name="a"), JobSpec("b", name="a"), JobSpec("c", after="a")], "several jobs"),
        ([JobSpec("a"), JobSpec("b", after="17")], "no job 17"),
        ([JobSpec("a", after="1:never")], "none of ok failed any"),
        ([JobSpec("a", after="1:ok,1:any")], "two conditions"),
        ([JobSpec("a", name="1a")], "name"),
        ([JobSpec("a", after=[0])], "no jid"),
        ([JobSpec("a", after=10**5000)], "no jid"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_submitted(
    queue: Queue, specs: Sequence[JobSpec], message: str
) -> None:
    queue.submit("true")
    with pytest.raises(InputError, match=message):
        queue.submit_many(specs)
    assert len(list(queue.jobs())) == 1
