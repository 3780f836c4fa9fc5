"""Which jobs a mode is about: states, jids, or both, as a table of jids inside a transaction."""

from __future__ import annotations

from collections.abc import Iterable

from rq_py.errors import UsageError
from rq_py.job import State
from rq_py.spool import Spool
from rq_py.store.transaction import Transaction

Selector = State | str | int

#: A jid is a positive 64-bit integer (https://www.sqlite.org/autoinc.html).
_LARGEST_JID = 2**63 - 1


class Selection:
    """Jobs in any of the given states, and those with the given jids; all of them without a selector.

    ``selectors`` is read to its end here, before any lock is taken, and may be a generator of millions.
    """

    def __init__(self, selectors: Iterable[Selector]) -> None:
        """Sort the selectors. Raises UsageError for one that is neither a state nor a jid."""
        self.states: list[State] = []
        self._jids = Spool()
        for selector in selectors:
            if isinstance(selector, int) and not isinstance(selector, bool):
                if not 0 < selector <= _LARGEST_JID:
                    raise UsageError(f"{selector}: is not a jid")
                self._jids.append([selector])
            elif selector in _STATES:
                self.states.append(State(selector))
            else:
                raise UsageError(f"{selector!r}: is neither a state nor a jid")

    @property
    def is_everything(self) -> bool:
        """Whether no selector was given."""
        return not self.states and not len(self._jids)

    @property
    def names_jids(self) -> bool:
        """Whether any job was named by its jid."""
        return len(self._jids) > 0

    def condition(self, tx: Transaction) -> tuple[str, list[object]]:
        """An SQL condition on ``jobs`` with its parameters; the jids go into the temporary table ``wanted``.

        To be called once in a transaction.
        """
        tx.execute("CREATE TEMP TABLE wanted (jid INTEGER PRIMARY KEY)")
        tx.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", self._jids)
        if self.is_everything:
            return "true", []
        marks = ",".join("?" * len(self.states))
        if not len(self._jids):
            return f"state IN ({marks})", list(self.states)
        if not self.states:
            return "jid IN (SELECT jid FROM wanted)", []
        return f"(state IN ({marks}) OR jid IN (SELECT jid FROM wanted))", list(self.states)  # noqa: S608


_STATES = frozenset(State)
