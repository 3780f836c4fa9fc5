"""Conditions of time: which jobs must wait for a time, and what a feeder does when one has come.

A job's column ``due`` follows from its row and says when a feeder must look at it: at ``not_before``, as long
as it waits for that, and at ``expires``. Any feeder may do so, and doing it twice changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from rq_py.job import Reason
from rq_py.store.transaction import Transaction

#: The bit of the column ``waits`` that says: not before a time.
TIME = 1

#: What ``waits`` must be by the row itself and ``:now``, for an UPDATE.
WAITS_ANEW = f"(waits & ~{TIME}) | iif(not_before > :now, {TIME}, 0)"

#: Rows that one transaction changes for either reason: some hundredths of a second under the lock.
MOST = 5000

# Two ranges of the index jobs_due. What has expired comes first: it must not become claimable.
_EXPIRE = """
    UPDATE jobs SET state = 'dead', reason = :reason, finished = :now
    WHERE jid IN (SELECT jid FROM jobs WHERE due <= :now AND expires <= :now ORDER BY due LIMIT :most)
"""
_OPEN = f"""
    UPDATE jobs SET waits = {WAITS_ANEW}
    WHERE jid IN (SELECT jid FROM jobs WHERE due <= :now AND waits & {TIME} ORDER BY due LIMIT :most)
"""  # noqa: S608
_NEXT = "SELECT min(due) FROM jobs WHERE due IS NOT NULL"


class Passed(NamedTuple):
    """How many jobs were opened and how many have expired, and the next time to look, UTC text or None.

    That time has come already where there were more than one transaction changes.
    """

    opened: int
    expired: int
    next: str | None


def waits_for_time(not_before: str | None, now: str) -> int:
    """The column ``waits`` of a new job."""
    return TIME if not_before is not None and not_before > now else 0


def pass_due(tx: Transaction, now: str, most: int = MOST) -> Passed:
    """Bury what has expired and open what was to wait until ``now``, at most so many of each."""
    (first,) = tx.execute(_NEXT).fetchone()
    if first is None or first > now:
        return Passed(0, 0, first)
    values = {"now": now, "most": most}
    expired = tx.execute(_EXPIRE, {**values, "reason": Reason.EXPIRED}).rowcount
    opened = tx.execute(_OPEN, values).rowcount
    (following,) = tx.execute(_NEXT).fetchone()
    return Passed(opened, expired, following)
