"""What is compared between a queue and its reference, and which changes of a job a verb may make."""

from __future__ import annotations

from collections.abc import Mapping

from rq_py import Job, State
from rq_py.job import TRANSITIONS
from tests.model.reference import Row

#: The rules whose name is a verb of job.TRANSITIONS, or which hold and unhold.
EDITS = {
    "update": ("hold", "unhold"),
    "touch": ("hold", "unhold"),
    "resubmit": ("hold", "unhold", "resubmit"),
    "finish": ("finish", "retry"),
}


def assert_legal(verb: str, seen: Mapping[int, Job], found: Mapping[int, Job]) -> None:
    """What was found differs from what was seen before as far as the verb may make it."""
    legal = {pair for one in EDITS.get(verb, (verb,)) for pair in TRANSITIONS.get(one, ())}
    for jid, job in found.items():
        before = seen.get(jid)
        if before is None:
            continue
        if before.state is not job.state and not (verb == "resubmit" and job.state is State.HOLDING):
            assert (before.state, job.state) in legal, verb
        was_done = verb == "complete" and before.state is not job.state
        assert job.attempt == before.attempt + (was_done or (verb == "claim" and before.token != job.token))
        assert verb in {"resubmit", "touch"} or job.submitted == before.submitted


def values(row: Row) -> tuple[object, ...]:
    """What is compared of a job, from the reference."""
    return (
        row.command, row.priority, row.tag, row.runner, row.restartable, row.state, row.stdin is not None,
        row.attempt, row.token, row.reason, row.exit_status, row.retries,
        row.key, row.kind, row.note,
    )  # fmt: skip


def values_of(job: Job) -> tuple[object, ...]:
    """What is compared of a job, from the queue."""
    return (
        job.command, job.priority, job.tag, job.required_runner, job.restartable, job.state, job.has_stdin,
        job.attempt, job.token, job.reason, job.exit_status, job.retries,
        job.key, job.kind, job.note,
    )  # fmt: skip
