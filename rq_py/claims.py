"""Claim, finish, release, bury: each one guarded transition of one row. No processes here.

A guard is ``WHERE jid=? AND state=? AND attempt=? AND token=?`` with a count of 1. A count of 0 means
that the claim was lost to somebody who buried it; that row is then left alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from rq_py.clock import seconds_of, utc_text
from rq_py.formats.moments import LONGEST
from rq_py.job import TERMINAL, TIMED_OUT, Job, Reason, State
from rq_py.runner.protocol import LEASE_LOST
from rq_py.store.rows import CLAIM_COLUMNS, COLUMNS, jobs_of
from rq_py.store.transaction import Transaction
from rq_py.timing import WAITS_ANEW


class Verdict(Enum):
    """What became of a transition."""

    DONE = "done"
    ALREADY = "already"  # the outcome of the same attempt and token is recorded: done before
    LOST = "lost"  # somebody else has decided about the job; whatever runs here must end


class Outcome(NamedTuple):
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
    pid: int | None = None  # None: as it was when it was claimed


#: Highest priority first, oldest first within one. Two short range scans of the index jobs_ready:
#: the jobs that any node may run, and those that only this one may.
CLAIMABLE = """
    SELECT jid FROM (
        SELECT * FROM (SELECT jid, priority FROM jobs
                       WHERE ready = '' ORDER BY priority DESC, jid LIMIT :limit)
        UNION ALL
        SELECT * FROM (SELECT jid, priority FROM jobs
                       WHERE ready = :node ORDER BY priority DESC, jid LIMIT :limit))
    ORDER BY priority DESC, jid LIMIT :limit
"""

# The + keeps SQLite from walking through all that is pending by another index, of states say
# (https://www.sqlite.org/optoverview.html#disqualifying_where_clause_terms_using_unary_).
_CLAIM = f"""
    UPDATE jobs SET state = 'running', attempt = attempt + 1, token = :token,
        feeder = :feeder, runner = :node, pid = NULL, started = :now, finished = NULL, elapsed = NULL,
        exit_status = NULL, signal = NULL, reason = NULL,
        user_cpu = NULL, system_cpu = NULL, max_rss = NULL
    WHERE jid IN ({CLAIMABLE}) AND +state = 'pending' AND +ready IS NOT NULL AND token = ''
        AND (expires IS NULL OR expires > :now)
"""  # noqa: S608

_CLAIMED = f"""
    SELECT {CLAIM_COLUMNS} FROM jobs WHERE feeder = :feeder AND state = 'running' AND token = :token
    ORDER BY priority DESC, jid
"""  # noqa: S608

_GUARD = "jid = :jid AND state = 'running' AND attempt = :attempt AND token = :token"

_BEGIN = f"""
    UPDATE jobs SET pid = :pid
    WHERE {_GUARD}
"""  # noqa: S608

# Of one outcome, or of all in a table, which takes two thirds of the time.
_FINISH = f"""
    UPDATE jobs NOT INDEXED SET state = 'finished', pid = coalesce({{o}}pid, jobs.pid),
        finished = {{o}}finished, elapsed = {{o}}elapsed,
        exit_status = {{o}}exit_status, signal = {{o}}signal, reason = {{o}}reason,
        user_cpu = {{o}}user_cpu, system_cpu = {{o}}system_cpu, max_rss = {{o}}max_rss
    {{source}}
    WHERE jobs.jid = {{o}}jid AND jobs.attempt = {{o}}attempt AND jobs.token = {{o}}token
        AND ((jobs.state = 'running' AND (jobs.retried >= jobs.retries
                OR (coalesce({{o}}exit_status, 1) = 0 AND {{o}}reason IS NOT '{TIMED_OUT}')))
            OR (jobs.state = 'dead' AND jobs.reason = 'node_lost'))
"""  # noqa: S608
_FINISH_ONE = _FINISH.format(o=":", source="")
_FINISH_ALL = _FINISH.format(o="outcomes.", source="FROM outcomes")
_OUTCOMES = f"CREATE TEMP TABLE IF NOT EXISTS outcomes ({', '.join(Outcome._fields)})"
_OUTCOME = f"INSERT INTO outcomes VALUES ({', '.join('?' for _ in Outcome._fields)})"  # noqa: S608
#: Fewer are quicker recorded one by one than by making a table.
_MANY = 8

_BACKOFF = f"SELECT backoff, retried FROM jobs WHERE {_GUARD} AND retried < retries"  # noqa: S608

_TRY_AGAIN = f"""
    UPDATE jobs SET state = 'pending', token = '', feeder = NULL, runner = NULL, pid = NULL, started = NULL,
        retried = retried + 1, expires = NULL, not_before = coalesce(:not_before, not_before), waits = {
    WAITS_ANEW.replace("not_before", ":not_before")
}
    WHERE {_GUARD}
"""  # noqa: S608

# The outcome of an attempt that is not to be the last. None of it is in the row of the job.
_KEEP_ATTEMPT = f"""
    INSERT OR REPLACE INTO attempts (jid, attempt, token, runner, started, pid,
        finished, elapsed, exit_status, signal, reason, user_cpu, system_cpu, max_rss)
    SELECT jid, attempt, token, runner, started, coalesce(:pid, pid),
        :finished, :elapsed, :exit_status, :signal, :reason, :user_cpu, :system_cpu, :max_rss
    FROM jobs WHERE {_GUARD}
"""  # noqa: S608
_KEEP_BURIED = f"""
    INSERT OR REPLACE INTO attempts (jid, attempt, token, runner, started, pid, finished, elapsed, reason)
    SELECT jid, attempt, token, runner, started, pid, :now,
        round(max(julianday(:now) - julianday(started), 0) * 86400, 3), :reason
    FROM jobs WHERE {_GUARD} AND restartable = 1
"""  # noqa: S608

# It was claimed before it expired, and so does not any more.
_CLAIMED_IN_TIME = f"UPDATE jobs SET expires = NULL WHERE {_GUARD} AND expires IS NOT NULL"  # noqa: S608

_BACK_TO_PENDING = f"""
    UPDATE jobs SET state = 'pending', token = '', feeder = NULL, runner = NULL, pid = NULL, started = NULL
    WHERE {_GUARD}
"""  # noqa: S608

_BURY = f"""
    UPDATE jobs SET state = 'dead', finished = :now, reason = :reason,
        elapsed = round(max(julianday(:now) - julianday(started), 0) * 86400, 3)
    WHERE {_GUARD} AND restartable = 0
"""  # noqa: S608


def claim(
    tx: Transaction, *, feeder: str, node: str, pids: Sequence[int], journal: str, now: str, ahead: int = 0
) -> list[Job]:
    """Claim a pending job for each of ``pids``, the shells that are ready for them, and up to ``ahead`` more.

    ``feeder`` is ``<node>.<uid>``, ``journal`` the id of the runner's journal: it becomes part of the
    token, so that later the absence of "going" in that very journal proves that nothing was launched.
    Returns the rows as they are now, in the order of the claim; those that were claimed ahead have no pid.
    """
    token = f"{journal}.{os.urandom(8).hex()}"
    values = {"feeder": feeder, "node": node, "now": now, "token": token, "limit": len(pids) + ahead}
    if not values["limit"] or not tx.execute(_CLAIM, values).rowcount:
        return []
    jobs = list(jobs_of(tx.execute(_CLAIMED, {"feeder": feeder, "token": token})))
    for index, (job, pid) in enumerate(zip(jobs, pids, strict=False)):
        tx.execute(_BEGIN, {**_guard(job.jid, job.attempt, token), "pid": pid})
        jobs[index] = job._replace(pid=pid)
    return jobs


def begin(tx: Transaction, jid: int, attempt: int, token: str, *, pid: int) -> bool:
    """Record as which pid a job that was claimed ahead was launched; False if it runs no more."""
    return tx.execute(_BEGIN, {**_guard(jid, attempt, token), "pid": pid}).rowcount == 1


def _guard(jid: int, attempt: int, token: str) -> dict[str, object]:
    """What names a claim."""
    return {"jid": jid, "attempt": attempt, "token": token}


def job_row(tx: Transaction, jid: int) -> Job:
    """The row of a job that exists."""
    (job,) = jobs_of(tx.execute(f"SELECT {COLUMNS} FROM jobs WHERE jid = ?", (jid,)))  # noqa: S608
    return job


def finish(tx: Transaction, outcome: Outcome) -> Verdict:
    """Record how an attempt ended: running, or dead as ``node_lost``, becomes finished.

    One that has failed while there are retries left becomes pending, and its outcome is kept in ``attempts``.
    One that the runner itself has ended, because the lease was not renewed, is buried: it is to run again.
    """
    key = outcome.jid, outcome.attempt, outcome.token
    if outcome.reason == LEASE_LOST:
        return bury(tx, *key, reason=Reason.NODE_LOST, now=outcome.finished)
    if tx.execute(_FINISH_ONE, outcome._asdict()).rowcount == 1 or _try_again(tx, outcome):
        return Verdict.DONE
    return _judge(tx, *key)


def _try_again(tx: Transaction, outcome: Outcome) -> bool:
    """Let a job that has failed be claimed once more, after its pause; False where it is not to be."""
    guard = _guard(outcome.jid, outcome.attempt, outcome.token)
    row = tx.execute(_BACKOFF, guard).fetchone()
    if row is None:
        return False
    backoff, retried = row
    not_before = None
    if backoff:
        # The exponent is bounded, for a float is, and the pause, for a time is.
        pause = min(backoff * 2.0 ** min(retried, 64), LONGEST)
        not_before = utc_text(seconds_of(outcome.finished) + pause)
    tx.execute(_KEEP_ATTEMPT, outcome._asdict())
    tx.execute(_TRY_AGAIN, {**guard, "not_before": not_before, "now": outcome.finished})
    return True


def finish_all(tx: Transaction, outcomes: Sequence[Outcome]) -> list[Verdict]:
    """Like ``finish`` for each of many, with one statement where nothing is special about any of them."""
    if len(outcomes) >= _MANY and not any(outcome.reason == LEASE_LOST for outcome in outcomes):
        tx.execute(_OUTCOMES)
        tx.execute("DELETE FROM outcomes")
        tx.executemany(_OUTCOME, outcomes)
        if tx.execute(_FINISH_ALL).rowcount == len(outcomes):
            return [Verdict.DONE] * len(outcomes)
    # Those that were recorded just now are found to be so; others were long ago, or have lost their claim.
    return [finish(tx, outcome) for outcome in outcomes]


def release(tx: Transaction, jid: int, attempt: int, token: str) -> Verdict:
    """Give back a claim whose job was never launched: running becomes pending."""
    if tx.execute(_BACK_TO_PENDING, _guard(jid, attempt, token)).rowcount == 1:
        return Verdict.DONE
    return _judge(tx, jid, attempt, token)


def bury(tx: Transaction, jid: int, attempt: int, token: str, *, reason: Reason, now: str) -> Verdict:
    """End an attempt that will not report: restartable jobs become pending, others dead.

    The caller has made sure that nothing of the attempt runs any more, or that the runner's dead man's
    switch has ended it. ``elapsed`` becomes the time from the claim until now, for people: nobody knows
    when it really ended, and after a lost node it is the difference of two clocks.
    """
    values = {**_guard(jid, attempt, token), "reason": reason, "now": now}
    if tx.execute(_BURY, values).rowcount == 1:
        return Verdict.DONE
    tx.execute(_KEEP_BURIED, values)
    tx.execute(_CLAIMED_IN_TIME, _guard(jid, attempt, token))
    return release(tx, jid, attempt, token)


# One that was buried is not: whatever still runs of it must end.
_IS_KEPT = """
    SELECT 1 FROM attempts
    WHERE jid = ? AND attempt = ? AND token = ? AND (exit_status IS NOT NULL OR signal IS NOT NULL)
"""


def _judge(tx: Transaction, jid: int, attempt: int, token: str) -> Verdict:
    """Tell why a guard did not match."""
    row = tx.execute("SELECT state, attempt, token FROM jobs WHERE jid = ?", (jid,)).fetchone()
    if row is not None and State(row[0]) in TERMINAL and (row[1], row[2]) == (attempt, token):
        return Verdict.ALREADY
    return Verdict.ALREADY if tx.execute(_IS_KEPT, (jid, attempt, token)).fetchone() else Verdict.LOST


def running_of(tx: Transaction, feeder: str) -> list[Job]:
    """The jobs that run under the name of ``feeder``."""
    sql = f"SELECT {CLAIM_COLUMNS} FROM jobs WHERE feeder = ? AND state = 'running' ORDER BY jid"  # noqa: S608
    return list(jobs_of(tx.execute(sql, (feeder,))))


def feeders_with_running(tx: Transaction) -> list[str]:
    """The names (``<node>.<uid>``) of all feeders under which jobs run, sorted."""
    sql = "SELECT DISTINCT feeder FROM jobs WHERE state = 'running' AND feeder IS NOT NULL ORDER BY feeder"
    return [row[0] for row in tx.execute(sql)]
