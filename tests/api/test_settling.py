"""Settling, against a model that looks at every job again and again; and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rq_py import JobSpec, Queue
from rq_py.claims import bury, claim, release
from rq_py.clock import utc_text
from rq_py.dependencies import AFTER, evaluate, settle
from rq_py.job import Reason
from tests.api.settling import claimed, end, is_open, settled


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
            queue.execute(f"update jobs set priority = 0 where jid = {jid}")  # noqa: S608
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


@pytest.fixture
def steps_of(queue: Queue) -> Callable[[Callable[..., object]], int]:
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

    return count_steps


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
        queue.execute(f"update jobs set state = 'finished', exit_status = 0 where jid = {first}")  # noqa: S608
        return steps_of(lambda tx: settle(tx, utc_text()))

    few = cost(10)
    assert cost(10_000) < few * 2 + 10, few


def test_a_claim_looks_at_few_rows_however_many_wait(
    queue: Queue, steps_of: Callable[[Callable[..., object]], int]
) -> None:
    def cost() -> int:
        queue.submit("true")
        return steps_of(lambda tx: claim(tx, feeder="a.0", node="a", pids=[1], journal="j", now=utc_text()))

    blocker = queue.submit("true", stage=True).jid
    few = cost()
    queue.submit_many(JobSpec("true", after=[blocker], priority=5) for _ in range(20_000))
    assert cost() < few * 2 + 10, few


def test_a_submit_looks_at_few_rows_however_many_wait(
    queue: Queue, steps_of: Callable[[Callable[..., object]], int]
) -> None:
    def cost() -> int:
        first = queue.submit("true", after=[1]).jid
        values: dict[str, object] = {"first": first, "last": first}
        return steps_of(lambda tx: evaluate(tx, "jid BETWEEN :first AND :last", values, utc_text()))

    queue.submit("true", stage=True)
    few = cost()
    queue.submit_many(JobSpec("true") for _ in range(20_000))
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
