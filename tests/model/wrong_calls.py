"""Calls of the Queue API that must be refused, each with its documented error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rq_py import JobSpec, Queue
from rq_py.errors import InputError, UsageError
from rq_py.job import LARGEST_JID

#: How many there are.
COUNT = 26


def wrong_calls(q: Queue, jid: int) -> list[tuple[type[Exception], Callable[[], object]]]:
    """The calls, about job ``jid`` where it takes one, whether that exists or not."""
    good = JobSpec("true")
    unknown: Any = {"jid": 7}
    return [
        (InputError, lambda: q.submit("")),
        (InputError, lambda: q.submit("a\0b")),
        (InputError, lambda: q.submit("x" * 65_537)),
        (InputError, lambda: q.submit("true", priority=2**63)),
        (InputError, lambda: q.submit("true", runner="../a")),
        (InputError, lambda: q.submit("true", env={"A=B": "c"})),
        (InputError, lambda: q.submit_many([])),
        (InputError, lambda: q.submit_many([good, good, JobSpec("")])),
        (InputError, lambda: q.submit_many([good, JobSpec("true", stdin="../../etc/passwd")])),
        (UsageError, lambda: q.update(priority=1)),
        (UsageError, lambda: q.update(jid)),
        (UsageError, lambda: q.update("running", priority=1)),
        (UsageError, lambda: q.update("finished", priority=1)),
        (UsageError, lambda: q.update(jid, state="running")),
        (UsageError, lambda: q.update(jid, **unknown)),
        (InputError, lambda: q.update(jid, command="")),
        (InputError, lambda: q.update("all", runner="a b")),
        (UsageError, q.delete),
        (UsageError, lambda: q.delete("running")),
        (UsageError, lambda: q.delete(0)),
        (UsageError, lambda: list(q.jobs("nonsense"))),
        (UsageError, lambda: list(q.jobs(LARGEST_JID + 1))),
        (UsageError, q.resubmit),
        (UsageError, lambda: q.resubmit(jid, state="dead")),
        (InputError, lambda: q.touch("")),
        (UsageError, lambda: list(q.query("DELETE FROM jobs"))),
    ]
