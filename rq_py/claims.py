"""Claim, finish, release, bury: each one guarded transition of one row. No processes here.

A guard is ``WHERE jid=? AND state=? AND attempt=? AND token=?`` with a count of 1. A count of 0 means
that the claim was lost to somebody who buried it; that row is then left alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from rq_py.job import TERMINAL, Job, Reason, State
from rq_py.store.rows import COLUMNS, jobs_of
from rq_py.store.transaction import Transaction


class Verdict(Enum):
    """What became of a transition."""

    DONE = "done"
    ALREADY = "already"  # the row is terminal by the same attempt and token: done before
    LOST = "lost"  # somebody else has decided about the job; whatever runs here must end


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. Times are UTC text and seconds, ``max_rss`` is bytes."""

    jid: int
    attempt: int
    token: str
    exit_status: int | None
    signal: int | None
    finished: str
    elapsed: float
    user_cpu: float
    system_cpu: float
    max_rss: int
    reason: str | None = None


#: Highest priority first, oldest first within one. Two short range scans of the index jobs_ready:
#: the jobs that any node may run, and those that only this one may.
CLAIMABLE = """
    SELECT jid, attempt FROM (
        SELECT * FROM (SELECT jid, attempt, priority FROM jobs
                       WHERE ready = '' ORDER BY priority DESC, jid LIMIT :limit)
        UNION ALL
        SELECT * FROM (SELECT jid, attempt, priority FROM jobs
                       WHERE ready = :node ORDER BY priority DESC, jid LIMIT :limit))
    ORDER BY priority DESC, jid LIMIT :limit
"""

_CLAIM = """
    UPDATE jobs SET state = 'running', ready = NULL, attempt = attempt + 1, token = :token,
        feeder = :feeder, runner = :node, pid = :pid, started = :now, finished = NULL, elapsed = NULL,
        exit_status = NULL, signal = NULL, reason = NULL,
        user_cpu = NULL, system_cpu = NULL, max_rss = NULL
    WHERE jid = :jid AND state = 'pending' AND attempt = :attempt AND token = '' AND ready IS NOT NULL
"""

_FINISH = """
    UPDATE jobs SET state = 'finished', finished = :finished, elapsed = :elapsed,
        exit_status = :exit_status, signal = :signal, reason = :reason,
        user_cpu = :user_cpu, system_cpu = :system_cpu, max_rss = :max_rss
    WHERE jid = :jid AND attempt = :attempt AND token = :token
        AND (state = 'running' OR (state = 'dead' AND reason = 'node_lost'))
"""

# What `ready` must be for a job that becomes pending: the node that it requires, or '' for any.
_BACK_TO_PENDING = """
    UPDATE jobs SET state = 'pending', ready = coalesce(required_runner, ''), token = '',
        feeder = NULL, runner = NULL, pid = NULL, started = NULL
    WHERE jid = :jid AND state = 'running' AND attempt = :attempt AND token = :token
"""

_BURY = """
    UPDATE jobs SET state = 'dead', finished = :now, reason = :reason,
        elapsed = round(max(julianday(:now) - julianday(started), 0) * 86400, 3)
    WHERE jid = :jid AND state = 'running' AND attempt = :attempt AND token = :token AND restartable = 0
"""


def claim(
    tx: Transaction, *, feeder: str, node: str, pids: Sequence[int], journal: str, now: str
) -> list[Job]:
    """Claim up to one pending job for each of ``pids``, the shells that are ready for them.

    ``feeder`` is ``<node>.<uid>``, ``journal`` the id of the runner's journal: it becomes part of the
    token, so that later the absence of "going" in that very journal proves that nothing was launched.
    Returns the rows as they are now, in the order of the claim.
    """
    found = tx.execute(CLAIMABLE, {"node": node, "limit": len(pids)}).fetchall()
    claimed = []
    for (jid, attempt), pid in zip(found, pids, strict=False):
        values = {"jid": jid, "attempt": attempt, "feeder": feeder, "node": node, "pid": pid, "now": now}
        token = f"{journal}.{os.urandom(8).hex()}"
        if tx.execute(_CLAIM, {**values, "token": token}).rowcount == 1:
            claimed.append(job_row(tx, jid))
    return claimed


def job_row(tx: Transaction, jid: int) -> Job:
    """The row of a job that exists."""
    (job,) = jobs_of(tx.execute(f"SELECT {COLUMNS} FROM jobs WHERE jid = ?", (jid,)))  # noqa: S608
    return job


def finish(tx: Transaction, outcome: Outcome) -> Verdict:
    """Record how an attempt ended: running, or dead as ``node_lost``, becomes finished."""
    values = {
        "jid": outcome.jid,
        "attempt": outcome.attempt,
        "token": outcome.token,
        "finished": outcome.finished,
        "elapsed": outcome.elapsed,
        "exit_status": outcome.exit_status,
        "signal": outcome.signal,
        "reason": outcome.reason,
        "user_cpu": outcome.user_cpu,
        "system_cpu": outcome.system_cpu,
        "max_rss": outcome.max_rss,
    }
    if tx.execute(_FINISH, values).rowcount == 1:
        return Verdict.DONE
    return _judge(tx, outcome.jid, outcome.attempt, outcome.token)


def release(tx: Transaction, jid: int, attempt: int, token: str) -> Verdict:
    """Give back a claim whose job was never launched: running becomes pending."""
    values = {"jid": jid, "attempt": attempt, "token": token}
    if tx.execute(_BACK_TO_PENDING, values).rowcount == 1:
        return Verdict.DONE
    return _judge(tx, jid, attempt, token)


def bury(tx: Transaction, jid: int, attempt: int, token: str, *, reason: Reason, now: str) -> Verdict:
    """End an attempt that will not report: restartable jobs become pending, others dead.

    The caller has made sure that nothing of the attempt runs any more, or that the runner's dead man's
    switch has ended it. ``elapsed`` becomes the time from the claim until now, for people: nobody knows
    when it really ended, and after a lost node it is the difference of two clocks.
    """
    values = {"jid": jid, "attempt": attempt, "token": token, "reason": reason, "now": now}
    if tx.execute(_BURY, values).rowcount == 1:
        return Verdict.DONE
    return release(tx, jid, attempt, token)


def _judge(tx: Transaction, jid: int, attempt: int, token: str) -> Verdict:
    """Tell why a guard did not match."""
    row = tx.execute("SELECT state, attempt, token FROM jobs WHERE jid = ?", (jid,)).fetchone()
    if row is not None and State(row[0]) in TERMINAL and (row[1], row[2]) == (attempt, token):
        return Verdict.ALREADY
    return Verdict.LOST


def running_of(tx: Transaction, feeder: str) -> list[Job]:
    """The jobs that run under the name of ``feeder``."""
    sql = f"SELECT {COLUMNS} FROM jobs WHERE feeder = ? AND state = 'running' ORDER BY jid"  # noqa: S608
    return list(jobs_of(tx.execute(sql, (feeder,))))


def feeders_with_running(tx: Transaction) -> list[str]:
    """The names (``<node>.<uid>``) of all feeders under which jobs run, sorted."""
    sql = "SELECT DISTINCT feeder FROM jobs WHERE state = 'running' AND feeder IS NOT NULL ORDER BY feeder"
    return [row[0] for row in tx.execute(sql)]
