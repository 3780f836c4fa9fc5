"""Keys: at most one job that waits or runs has each of them. Which one has it, and which edits are refused.

The unique index ``jobs_key`` sees to it whatever happens. It is asked before, so that a submit finds the job
that is there, and an edit is refused in one line.
"""

from __future__ import annotations

from rq_py.errors import IllegalTransition
from rq_py.formats.excerpt import shown
from rq_py.store.transaction import Transaction

#: Whether a job waits or runs, in the words of the index: with others it would not be used.
_ACTIVE = "state IN ('pending', 'holding', 'running')"

_HOLDER = f"SELECT jid FROM jobs WHERE key = ? AND {_ACTIVE}"  # noqa: S608
_OTHERS = "jobs.jid NOT IN (SELECT jid FROM chosen) LIMIT 1"
_TAKEN = f"SELECT jid, state, key FROM jobs WHERE key = ? AND {_ACTIVE} AND {_OTHERS}"  # noqa: S608
_ANY_TAKEN = f"""
    SELECT jobs.jid, jobs.state, jobs.key
    FROM chosen CROSS JOIN jobs AS mine ON mine.jid = chosen.jid
        CROSS JOIN jobs ON jobs.key = mine.key AND jobs.{_ACTIVE}
    WHERE {_OTHERS}
"""  # noqa: S608
_TWICE = """
    SELECT min(jid), max(jid), key FROM jobs WHERE jid IN (SELECT jid FROM chosen) AND key IS NOT NULL
    GROUP BY key HAVING count(*) > 1 LIMIT 1
"""


def holder(tx: Transaction, key: str) -> int | None:
    """The jid of the job that waits or runs and has ``key``, None for none."""
    row = tx.execute(_HOLDER, (key,)).fetchone()
    return None if row is None else int(row[0])


def check_given(tx: Transaction, key: str, count: int) -> None:
    """The ``count`` jobs in the table ``chosen`` are to wait with ``key``.

    Raises IllegalTransition where they are several, or another one has it.
    """
    if count > 1:
        raise IllegalTransition(f"{count} jobs cannot all have the key {shown(key)}: name one of them")
    row = tx.execute(_TAKEN, (key,)).fetchone()
    if count and row is not None:
        raise _taken(*row)


def check_kept(tx: Transaction) -> None:
    """The jobs in the table ``chosen`` are to wait again, each with the key that it has.

    Raises IllegalTransition where two of them have the same, or another one that waits or runs.
    """
    with tx.beating():
        twice = tx.execute(_TWICE).fetchone()
        taken = tx.execute(_ANY_TAKEN).fetchone()
    if twice is not None:
        first, last, key = twice
        raise IllegalTransition(f"jobs {first} and {last} both have the key {shown(key)}: name one of them")
    if taken is not None:
        raise _taken(*taken)


def _taken(jid: int, state: str, key: str) -> IllegalTransition:
    return IllegalTransition(
        f"job {jid}, which is {state}, has the key {shown(key)}: wait for its end, or give another key"
    )
