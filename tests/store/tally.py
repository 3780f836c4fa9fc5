"""What the triggers have kept about the jobs of a queue, and the same counted from its rows."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from rq_py.store.transaction import Transaction

#: Block, state, exit status ('' for none).
Key = tuple[int, str, object]


class Tally(NamedTuple):
    """How many jobs wait; how many ended how, with the milliseconds of all; how many finished in a minute."""

    pending: int
    holding: int
    ended: dict[Key, tuple[int, int]]
    minutes: dict[str, int]


def kept(tx: Transaction) -> Tally:
    """What the triggers have kept."""
    pending, holding = tx.execute("SELECT pending, holding FROM tally").fetchone()
    rows = tx.execute("SELECT block, state, exit_status, jobs, milliseconds FROM ended")
    ended = {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}
    minutes = dict(tx.execute("SELECT minute, jobs FROM minutes WHERE jobs <> 0").fetchall())
    return Tally(pending, holding, ended, minutes)


def counted(tx: Transaction) -> Tally:
    """The same from the rows."""
    states: Counter[str] = Counter()
    ended: dict[Key, tuple[int, int]] = {}
    minutes: Counter[str] = Counter()
    for jid, state, exit_status, finished, milliseconds in tx.execute(
        """SELECT jid, state, exit_status, finished, coalesce(CAST(round(elapsed * 1000) AS INTEGER), 0)
           FROM jobs"""
    ):
        states[state] += 1
        if state in ("finished", "dead"):
            key = (jid // 1024, state, "" if exit_status is None else exit_status)
            jobs, before = ended.get(key, (0, 0))
            ended[key] = jobs + 1, before + milliseconds
        if state == "finished" and finished is not None:
            minutes[finished[:16]] += 1
    return Tally(states["pending"], states["holding"], ended, dict(minutes))


def assert_kept(tx: Transaction) -> None:
    """The tally is what is counted, and no job goes beyond the bounds that are kept for its block."""
    assert kept(tx) == counted(tx)
    beyond = tx.execute(
        """SELECT jid FROM jobs WHERE state IN ('finished', 'dead') AND elapsed IS NOT NULL AND NOT EXISTS (
               SELECT 1 FROM ended WHERE block = jid / 1024 AND ended.state = jobs.state
                   AND shortest <= jobs.elapsed AND jobs.elapsed <= longest)"""
    ).fetchall()
    assert beyond == []
