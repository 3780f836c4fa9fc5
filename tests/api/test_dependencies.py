"""Jobs after other jobs, one transaction at a time: what is open, what is buried, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rq_py import Job, JobSpec, Queue, State
from rq_py.claims import Outcome, bury, claim, finish, release
from rq_py.clock import utc_text
from rq_py.dependencies import AFTER, settle
from rq_py.errors import InputError
from rq_py.job import Reason
from tests.store.tally import assert_kept

LATE = "2999-01-01 00:00:00.000000Z"


def claimed(queue: Queue, count: int = 1) -> list[Job]:
    """Claim as a feeder does that has settled nothing."""
    with queue.store.write() as tx:
        return claim(tx, feeder="a.0", node="a", pids=range(1, count + 1), journal="j", now=utc_text())


def end(queue: Queue, job: Job, exit_status: int | None = 0, reason: str | None = None) -> None:
    """Record an end of the attempt of ``job``."""
    signal = 9 if exit_status is None else None
    outcome = Outcome(
        job.jid, job.attempt, job.token, exit_status, signal, utc_text(), 2.0, 1.0, 0.5, 1 << 20, reason
    )
    with queue.store.write() as tx:
        finish(tx, outcome)


def settled(queue: Queue, most: int = 5000) -> int:
    """What ticks do until nothing is left; returns how many jobs they have buried."""
    buried = 0
    while True:
        with queue.store.write() as tx:
            done = settle(tx, utc_text(), most)
            assert_kept(tx)
        buried += done.buried
        if not done.is_rest:
            return buried


def run(queue: Queue, jid: int, exit_status: int | None = 0, reason: str | None = None) -> None:
    """Have one job claimed, ended and settled."""
    queue.update(jid, priority=99)
    (job,) = claimed(queue)
    assert job.jid == jid
    end(queue, job, exit_status, reason)
    settled(queue)


def is_open(queue: Queue, jid: int) -> bool:
    """Whether a feeder would claim the job."""
    with queue.store.read() as tx:
        return bool(tx.execute("SELECT ready IS NOT NULL FROM jobs WHERE jid = ?", (jid,)).fetchone()[0])


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
    assert (sixth.state, seventh.state) == (State.DEAD, State.DEAD), "also what comes before the one that it is after"
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
    with pytest.raises(InputError, match="job [13] would be after itself"):
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
                  " select jid, 1, 'finished', submitted, 'here', 'true' from jobs where jid = 1")  # fmt: skip
    settled(queue)
    assert queue.job(2).state is State.DEAD, "it ended without an exit status"
    queue.execute("update jobs set exit_status = 0 where jid = 1; update jobs set state = 'pending' where jid = 2")
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


# --- by names in one submit --------------------------------------------------------------------------------


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
        ([JobSpec("a", after=[0])], "neither JID"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_submitted(
    queue: Queue, specs: Sequence[JobSpec], message: str
) -> None:
    queue.submit("true")
    with pytest.raises(InputError, match=message):
        queue.submit_many(specs)
    assert len(list(queue.jobs())) == 1


# --- against a model ---------------------------------------------------------------------------------------


@dataclass
class Known:
    """A job of the model. ``met`` is what it knows of those that it is after."""

    state: str = "pending"
    has_failed: bool = False
    after: dict[int, str] = field(default_factory=dict)
    met: dict[int, int] = field(default_factory=dict)

    @property
    def end(self) -> str | None:
        """How it has ended."""
        if self.state not in ("finished", "dead"):
            return None
        return "failed" if self.has_failed or self.state == "dead" else "ok"


class Model:
    """What is true after everything is settled, found by looking at every job again and again."""

    def __init__(self) -> None:
        self.jobs: dict[int, Known] = {}

    def settle(self, gone: dict[int, str]) -> None:
        """``gone`` is how those had ended that were deleted since the last time."""
        is_changed = True
        while is_changed:
            is_changed = False
            for job in self.jobs.values():
                for other, condition in job.after.items():
                    if other in self.jobs or other in gone:
                        end = self.jobs[other].end if other in self.jobs else gone[other]
                        job.met[other] = 0 if end is None else 1 if condition in ("any", end) else 2
                if job.state in ("pending", "holding") and 2 in job.met.values():
                    job.state, is_changed = "dead", True

    def closed(self) -> dict[int, bool]:
        """Whether each job that is after others has to wait for them."""
        return {jid: any(met != 1 for met in job.met.values()) for jid, job in self.jobs.items() if job.after}


numbers = st.integers(0, 7)
afters = st.lists(st.tuples(numbers, st.sampled_from(["ok", "failed", "any"])), max_size=3)
submits = st.tuples(st.just("submit"), afters)
steps = st.one_of(
    submits,
    st.tuples(st.sampled_from(["succeed", "fail", "lose", "release", "hold", "unhold"]), numbers),
    st.tuples(st.sampled_from(["delete", "resubmit"]), st.lists(numbers, min_size=1, max_size=3)),
)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    beginning=st.lists(submits, min_size=5, max_size=8),
    script=st.lists(steps, min_size=3, max_size=15),
    most=st.sampled_from([2, 1, 5, 5000]),
)
def test_settling_finds_what_is_true(
    queue: Queue, beginning: list[tuple[str, object]], script: list[tuple[str, object]], most: int
) -> None:
    with queue.store.write() as tx:
        for table in ("jobs", "dependencies", "settling", "removals"):
            tx.execute(f"DELETE FROM {table}")  # noqa: S608
    model = Model()
    for verb, argument in [*beginning, *script]:
        gone = apply(queue, model, verb, argument)
        settled(queue, most)
        model.settle(gone)
        with queue.store.read() as tx:
            assert {jid: job.state for jid, job in model.jobs.items()} == dict(
                tx.execute("SELECT jid, state FROM jobs").fetchall()
            )
            sql = f"SELECT jid, waits & {AFTER} <> 0 FROM jobs WHERE links & 1"  # noqa: S608
            assert model.closed() == dict(tx.execute(sql).fetchall())


def apply(queue: Queue, model: Model, verb: str, argument: object) -> dict[int, str]:
    """One step in both; returns how those had ended that were deleted."""
    jids = sorted(model.jobs)
    chosen = [jids[number] for number in _numbers(argument) if number < len(jids)] if verb != "submit" else []
    if verb == "submit":
        assert isinstance(argument, list)
        after = {jids[number]: condition for number, condition in argument if number < len(jids)}
        job = queue.submit("true", after=[f"{jid}:{condition}" for jid, condition in after.items()])
        model.jobs[job.jid] = Known(after=after)
        return {}
    return _VERBS[verb](queue, model, chosen)


def _numbers(argument: object) -> list[int]:
    return argument if isinstance(argument, list) else [argument]  # type: ignore[list-item]


def _run(how: str) -> Callable[[Queue, Model, list[int]], dict[int, str]]:
    """Claim the job, if a feeder may, and let the attempt end."""

    def act(queue: Queue, model: Model, chosen: list[int]) -> dict[int, str]:
        for jid in chosen:
            known = model.jobs[jid]
            may_run = known.state == "pending" and all(met == 1 for met in known.met.values())
            assert is_open(queue, jid) == may_run
            if not may_run:
                continue
            queue.update(jid, priority=99)
            (job,) = claimed(queue)
            with queue.store.write() as tx:
                if how == "release":
                    release(tx, jid, job.attempt, job.token)
                elif how == "lose":
                    bury(tx, jid, job.attempt, job.token, reason=Reason.NODE_LOST, now=utc_text())
            queue.execute(f"update jobs set priority = 0 where jid = {jid}")
            if how in ("succeed", "fail"):
                end(queue, job, int(how == "fail"))
                known.state, known.has_failed = "finished", how == "fail"
            elif how == "lose":
                known.state = "dead"
        return {}

    return act


def _edit(queue: Queue, model: Model, chosen: list[int], before: str, after: str) -> dict[int, str]:
    for jid in chosen:
        if model.jobs[jid].state == before:
            queue.update(jid, state=after)
            model.jobs[jid].state = after
    return {}


def _resubmit(queue: Queue, model: Model, chosen: list[int]) -> dict[int, str]:
    queue.resubmit(chosen)
    for jid in chosen:
        model.jobs[jid].state, model.jobs[jid].has_failed = "pending", False
    return {}


def _delete(queue: Queue, model: Model, chosen: list[int]) -> dict[int, str]:
    queue.delete(chosen)
    return {jid: model.jobs.pop(jid).end or "failed" for jid in set(chosen)}


_VERBS: dict[str, Callable[[Queue, Model, list[int]], dict[int, str]]] = {
    **{how: _run(how) for how in ("succeed", "fail", "lose", "release")},
    "hold": lambda queue, model, chosen: _edit(queue, model, chosen, "pending", "holding"),
    "unhold": lambda queue, model, chosen: _edit(queue, model, chosen, "holding", "pending"),
    "resubmit": _resubmit,
    "delete": _delete,
}


# --- what it costs -----------------------------------------------------------------------------------------


@pytest.fixture
def steps_of(queue: Queue) -> Iterator[Callable[[Callable[..., object]], int]]:
    """How many hundreds of steps SQLite needs for some work in a transaction."""

    def count_steps(work: Callable[..., object]) -> int:
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        with queue.store.write() as tx:
            tx.execute("SELECT count(*) FROM sqlite_master").fetchone()
            tx._connection.set_progress_handler(count, 100)
            work(tx)
            tx._connection.set_progress_handler(None, 0)
        return steps

    yield count_steps


def test_a_job_that_nobody_is_after_leaves_nothing_to_settle(queue: Queue) -> None:
    queue.submit_many([JobSpec("true"), JobSpec("true")])
    queue.submit("true", after=2)
    for jid in (1, 2):
        job = claimed(queue)[0]
        assert job.jid == jid
        end(queue, job)
    with queue.store.read() as tx:
        assert tx.execute("SELECT jid FROM settling").fetchall() == [(2,)]


def test_one_end_is_settled_in_few_steps_however_many_are_waited_for(
    queue: Queue, steps_of: Callable[[Callable[..., object]], int]
) -> None:
    def cost(count: int) -> int:
        first = queue.submit_many(JobSpec("true") for _ in range(count)).first_jid
        queue.submit("true", after=range(first, first + count), collect=True)
        settled(queue)
        queue.execute(f"update jobs set state = 'finished', exit_status = 0 where jid = {first}")
        return steps_of(lambda tx: settle(tx, utc_text()))

    few = cost(10)
    assert cost(10_000) < few * 2 + 10, few


def test_a_claim_looks_at_few_rows_however_many_wait(
    queue: Queue, steps_of: Callable[[Callable[..., object]], int]
) -> None:
    def cost() -> int:
        queue.submit("true")
        return steps_of(
            lambda tx: claim(tx, feeder="a.0", node="a", pids=[1], journal="j", now=utc_text())
        )

    blocker = queue.submit("true", stage=True).jid
    few = cost()
    queue.submit_many(JobSpec("true", after=[blocker], priority=5) for _ in range(20_000))
    assert cost() < few * 2 + 10, few


def test_many_that_wait_for_one_are_opened_in_batches(queue: Queue) -> None:
    queue.submit("true")
    queue.submit_many(JobSpec("true", after=[1]) for _ in range(25))
    (job,) = claimed(queue)
    end(queue, job)
    for ready in (10, 20, 25):
        with queue.store.write() as tx:
            assert settle(tx, utc_text(), 10).is_rest == (ready < 25)
            count = tx.execute("SELECT count(*) FROM jobs WHERE ready IS NOT NULL").fetchone()
            assert count == (ready,)


def test_the_indices_are_used(queue: Queue) -> None:
    with queue.store.read() as tx:
        for sql, index in (
            ("SELECT 1 FROM dependencies WHERE jid = 1 AND met <> 1", "dependencies_unmet"),
            ("SELECT 1 FROM dependencies WHERE jid = 1 AND met <> 1 AND met = 2", "dependencies_unmet"),
            (
                "SELECT jid FROM dependencies WHERE after = 1 AND condition = 'ok' AND met IN (0, 2) LIMIT 5",
                "dependencies_after",
            ),
        ):
            (detail,) = [row[3] for row in tx.execute(f"EXPLAIN QUERY PLAN {sql}")]
            assert index in detail
