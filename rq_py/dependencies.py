"""Conditions on other jobs: who is after whom, and what becomes of it when one of them has ended.

What a job waits for is noted in ``dependencies``, and the bit ``AFTER`` of its ``waits`` follows from that. A
trigger notes in ``settling`` which of the jobs that are linked have changed, whoever did it. A feeder settles
them in its tick: it finds from the rows themselves what is true now. So any number of feeders may do it, be
killed in it, and do it twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from rq_py.errors import InputError
from rq_py.formats.afters import CONDITIONS
from rq_py.job import Reason
from rq_py.store.transaction import Transaction

#: The bit of the column ``waits`` that says: other jobs have not ended, or not as they should have.
AFTER = 2
#: The bits of the column ``links``: it is after others; others are after it.
FOLLOWS, FOLLOWED = 1, 2

#: Rows that one transaction changes: some hundredths of a second under the lock.
MOST = 5000
#: Jids that one statement is given.
_CHUNK = 10_000

#: How the job of a row has ended, NULL while it has not. A trigger says the same of one that is deleted.
_HOW = """
    CASE WHEN state NOT IN ('finished', 'dead') THEN NULL
         WHEN state = 'finished' AND exit_status IS 0 AND reason IS NOT 'timeout' THEN 'ok'
         ELSE 'failed' END
"""
#: The column ``met`` by that, as ``how``.
_MET = "CASE WHEN how IS NULL THEN 0 WHEN {condition} IN ('any', how) THEN 1 ELSE 2 END"

_UNMET = "EXISTS (SELECT 1 FROM dependencies AS d WHERE d.jid = jobs.jid AND d.met <> 1)"
_NEVER = "EXISTS (SELECT 1 FROM dependencies AS d WHERE d.jid = jobs.jid AND d.met <> 1 AND d.met = 2)"

#: What ``waits`` becomes; {others} is for a job of which nothing is left to wait for.
_WAITS = f"(waits & ~{AFTER}) | iif({_UNMET}, {AFTER}, {{others}})"

_MISSING = """
    SELECT value FROM json_each(:jids) WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.jid = value) LIMIT 1
"""
_LINK = f"""
    INSERT INTO dependencies (jid, after, condition, met)
    SELECT followers.jid, others.jid, :condition, {_MET.format(condition=":condition")}
    FROM (SELECT jid, {_HOW} AS how FROM json_each(:jids) CROSS JOIN jobs ON jobs.jid = value) AS others
        CROSS JOIN (SELECT jid FROM jobs WHERE {{followers}}) AS followers
"""  # noqa: S608
_FOLLOWED = f"""
    UPDATE jobs SET links = links | {FOLLOWED}
    WHERE jid IN (SELECT value FROM json_each(:jids)) AND NOT links & {FOLLOWED}
"""  # noqa: S608
_FOLLOWS = f"""
    UPDATE jobs SET links = links | {FOLLOWS}, waits = {_WAITS.format(others=0)} WHERE {{followers}}
"""  # noqa: S608
# The + as in claims: not all that is pending is to be looked at.
_BURY = f"""
    UPDATE jobs SET state = 'dead', reason = '{Reason.DEPENDENCY}', finished = :now
    WHERE {{followers}} AND +state IN ('pending', 'holding') AND {_NEVER}
"""  # noqa: S608

_SETTLING = "SELECT jid, gone FROM settling ORDER BY jid LIMIT 1000"
_JOB = f"SELECT links, state IN ('pending', 'holding'), {_HOW} FROM jobs WHERE jid = ?"  # noqa: S608
_OWN = f"""
    UPDATE dependencies SET met = (
        SELECT {_MET.format(condition="condition")} FROM (
            SELECT {_HOW} AS how FROM jobs WHERE jobs.jid = dependencies.after))
    WHERE jid = ? AND EXISTS (SELECT 1 FROM jobs WHERE jobs.jid = dependencies.after)
"""  # noqa: S608
_FORGET = """
    DELETE FROM dependencies
    WHERE jid = :jid AND after IN (SELECT after FROM dependencies WHERE jid = :jid LIMIT :most)
"""
# Six ranges of the index dependencies_after, without those that are as they should be.
_UNTRUE = """
    SELECT jid FROM dependencies WHERE after = ? AND condition = ? AND met IN (?, ?) LIMIT ?
"""
_NOTE = "UPDATE dependencies SET met = ? WHERE jid = ? AND after = ?"
# One that is to be settled itself is not opened before: what it waits for may be to be settled as well.
_OPEN = f"""
    UPDATE jobs SET waits = {
    _WAITS.format(others=f"iif(jid IN (SELECT jid FROM settling), waits & {AFTER}, 0)")
} WHERE jid = ?
"""  # noqa: S608


class Settled(NamedTuple):
    """How many jobs have become dead, and whether there is more to settle."""

    buried: int
    is_rest: bool


def link(
    tx: Transaction,
    followers: str,
    values: dict[str, object],
    after: Sequence[tuple[int, str]],
    now: str,
) -> int:
    """Let jobs be after others, with a condition on each: it is evaluated at once.

    ``followers`` is an SQL condition on ``jobs``, with ``values``, and these jobs are after nothing so far.
    Returns how many of them are dead now, because that cannot be. Raises InputError for a job that is not
    there.
    """
    for condition, group in groupby(sorted(after, key=lambda one: (one[1], one[0])), lambda one: one[1]):
        jids = [jid for jid, _ in group]
        for begin in range(0, len(jids), _CHUNK):
            chunk: dict[str, object] = {"jids": json.dumps(jids[begin : begin + _CHUNK])}
            with tx.beating():
                missing = tx.execute(_MISSING, chunk).fetchone()
                if missing is not None:
                    raise InputError(f"after: there is no job {missing[0]}")
                sql = _LINK.format(followers=followers)
                tx.execute(sql, {**values, **chunk, "condition": condition})
                tx.execute(_FOLLOWED, chunk)
    return evaluate(tx, followers, values, now)


def evaluate(tx: Transaction, followers: str, values: dict[str, object], now: str) -> int:
    """Bring the rows of ``followers`` into agreement with what is noted; returns how many become dead."""
    with tx.beating():
        tx.execute(_FOLLOWS.format(followers=followers), values)
        return tx.execute(_BURY.format(followers=followers), {**values, "now": now}).rowcount


def unlink(tx: Transaction, followers: str, values: dict[str, object]) -> None:
    """Let these jobs be after nothing."""
    with tx.beating():
        sql = f"DELETE FROM dependencies WHERE jid IN (SELECT jid FROM jobs WHERE {followers})"  # noqa: S608
        tx.execute(sql, values)
        sql = f"UPDATE jobs SET links = links & ~{FOLLOWS}, waits = waits & ~{AFTER} WHERE {followers}"  # noqa: S608
        tx.execute(sql, values)


def settle(tx: Transaction, now: str, most: int = MOST) -> Settled:
    """Open the jobs whose conditions are met now, close those of which they no longer are, bury the others.

    It ends when about ``most`` rows were changed.
    """
    buried = 0
    while rows := tx.execute(_SETTLING).fetchall():
        for jid, gone in rows:
            if most <= 0:
                return Settled(buried, True)
            job = tx.execute(_JOB, (jid,)).fetchone()
            links, waits, end = job or (FOLLOWED, False, gone)
            changed = dead = 0
            if job is None:
                changed = tx.execute(_FORGET, {"jid": jid, "most": most}).rowcount
            if links & FOLLOWED and changed < most:
                told, dead = _settle_followers(tx, jid, end, now, most - changed)
                changed += told
            buried += dead
            if changed >= most:  # there may be more of this one
                return Settled(buried, True)
            tx.execute("DELETE FROM settling WHERE jid = ?", (jid,))
            if links & FOLLOWS:
                if waits:
                    with tx.beating():
                        tx.execute(_OWN, (jid,))
                buried += evaluate(tx, "jid = :jid", {"jid": jid}, now)
            most -= changed + 1
        tx.beat()
    return Settled(buried, False)


def _settle_followers(tx: Transaction, jid: int, end: str | None, now: str, most: int) -> tuple[int, int]:
    """Tell at most so many of those that are after ``jid`` how it has ended, None when it has not.

    Returns how many were told, and how many of them are dead now.
    """
    told = buried = 0
    for condition in CONDITIONS:
        met = 0 if end is None else 1 if condition in ("any", end) else 2
        untrue = [other for other in range(3) if other != met]
        values = (jid, condition, *untrue, most - told)
        for (follower,) in tx.execute(_UNTRUE, values).fetchall():
            tx.execute(_NOTE, (met, follower, jid))
            tx.execute(_OPEN, (follower,))
            if met == 2:
                buried += tx.execute(
                    _BURY.format(followers="jid = :jid"), {"jid": follower, "now": now}
                ).rowcount
            told += 1
    return told, buried


# Whether any of the chosen jobs can be reached from what they are to be after.
_CYCLE = """
    WITH RECURSIVE before (jid) AS (
        SELECT value FROM json_each(?)
        UNION SELECT after FROM dependencies JOIN before ON dependencies.jid = before.jid)
    SELECT jid FROM before WHERE jid IN (SELECT jid FROM chosen) LIMIT 1
"""


def check_cycles(tx: Transaction, after: Sequence[tuple[int, str]]) -> None:
    """Raise InputError when a job in the table ``chosen`` would be after itself, by any number of others."""
    with tx.beating():
        found = tx.execute(_CYCLE, (json.dumps([jid for jid, _ in after]),)).fetchone()
    if found is not None:
        raise InputError(f"after: job {found[0]} would be after itself")


_AFTER_ITSELF = """
    WITH RECURSIVE before (jid) AS (
        SELECT after FROM dependencies WHERE jid = :jid
        UNION SELECT after FROM dependencies JOIN before ON dependencies.jid = before.jid)
    SELECT 1 FROM before WHERE jid = :jid
"""


def check_not_after_itself(tx: Transaction, jid: int) -> None:
    """Raise InputError when a job that was linked is after itself, because it is several of one submit."""
    with tx.beating():
        if tx.execute(_AFTER_ITSELF, {"jid": jid}).fetchone() is not None:
            raise InputError("after: jobs of this submit with the same key would be after themselves")


_SET_LINKS = f"""
    UPDATE jobs SET links =
        iif(EXISTS (SELECT 1 FROM dependencies AS d WHERE d.jid = jobs.jid), {FOLLOWS}, 0)
        | iif(EXISTS (SELECT 1 FROM dependencies AS d WHERE d.after = jobs.jid), {FOLLOWED}, 0)
    WHERE {{jobs}}
"""  # noqa: S608
_CLOSE = f"""
    UPDATE jobs SET waits = (waits & ~{AFTER}) | iif(links & {FOLLOWS}, {AFTER}, 0) WHERE {{jobs}}
"""  # noqa: S608
_SETTLE_ALL = """
    INSERT INTO settling (jid) SELECT jid FROM jobs WHERE links AND {jobs} ON CONFLICT DO NOTHING
"""


def close(tx: Transaction, jobs: str, values: dict[str, object]) -> None:
    """Let no job that is after others be claimed until settled; ``jobs`` is an SQL condition on them."""
    tx.execute(_CLOSE.format(jobs=jobs), values)


def set_right(tx: Transaction, jobs: str) -> None:
    """After changes of any kind to some ``jobs``, an SQL condition: nobody is linked who is not.

    What is after others is closed until a feeder has settled it.
    """
    tx.execute(_SET_LINKS.format(jobs=jobs))
    close(tx, jobs, {})
    tx.execute(_SETTLE_ALL.format(jobs=jobs))
