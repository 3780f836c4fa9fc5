"""Tokens in the table ``submits``: how a process learns later whether its ambiguous COMMIT happened.

A submit's row holds its first jid. What edits jobs has none and gets a number below 0, each the one below
the last, so that the newest of both kinds are known without believing any clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rq_py.clock import utc_text
from rq_py.store.transaction import Transaction

#: For how long a token is remembered, hours; the newest ones in any case, because the hours are by the clocks
#: of two nodes.
REMEMBERED_HOURS, ALWAYS_REMEMBERED = 24, 1000

_NOTE = "INSERT INTO submits (token, first_jid, count, submitted) VALUES (?, ?, ?, ?)"

_FORGET_SUBMITS = """
    DELETE FROM submits WHERE submitted < ? AND first_jid >= 0
        AND first_jid < (SELECT first_jid FROM submits ORDER BY first_jid DESC LIMIT 1 OFFSET ?)
"""

_FORGET_EDITS = """
    DELETE FROM submits WHERE submitted < ? AND first_jid < 0 AND first_jid >
        (SELECT first_jid FROM submits WHERE first_jid < 0 ORDER BY first_jid LIMIT 1 OFFSET ?)
"""


def note_submit(tx: Transaction, token: str, first_jid: int, count: int, submitted: str) -> None:
    """Note the token of a submit of ``count`` jobs in the transaction that makes them."""
    tx.execute(_NOTE, (token, first_jid, count, submitted))
    _forget(tx, _FORGET_SUBMITS)


def note_edit(tx: Transaction, token: str, count: int) -> None:
    """Note the token of what changes or deletes ``count`` jobs, in the same transaction."""
    (lowest,) = tx.execute("SELECT coalesce(min(first_jid), 0) FROM submits").fetchone()
    tx.execute(_NOTE, (token, min(lowest, 0) - 1, count, utc_text()))
    _forget(tx, _FORGET_EDITS)


def is_noted(tx: Transaction, token: str) -> bool:
    """Whether the transaction that noted ``token`` was committed."""
    return tx.execute("SELECT 1 FROM submits WHERE token = ?", (token,)).fetchone() is not None


def _forget(tx: Transaction, sql: str) -> None:
    """Forget old tokens."""
    oldest = datetime.now(UTC) - timedelta(hours=REMEMBERED_HOURS)
    tx.execute(sql, (utc_text(oldest.timestamp()), ALWAYS_REMEMBERED))
