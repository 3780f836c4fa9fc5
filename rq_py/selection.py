"""Which jobs a mode is about: states, jids, or both, as a table of jids inside a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rq_py.errors import UsageError
from rq_py.job import LARGEST_JID, State
from rq_py.spool import Spool
from rq_py.store.rows import COLUMNS
from rq_py.store.transaction import Transaction

#: A state, ``all``, a jid, or any number of jids, which may be a generator of millions.
Selector = State | str | int | Iterable[int]

#: Selects every job.
ALL = "all"


#: Selects, behind ``Selection.condition``, the named jids of which there is no job.
MISSING = "SELECT jid FROM wanted WHERE jid NOT IN (SELECT jid FROM jobs) ORDER BY jid"


class Selection:
    """Jobs in any of the given states, and those with the given jids; all of them without a selector.

    ``selectors`` is read to its end here, before any lock is taken. An iterable without a jid selects no job.
    """

    def __init__(self, selectors: Iterable[Selector]) -> None:
        """Sort the selectors. Raises UsageError for one that is none."""
        self.states: list[State] = []
        self.is_unnamed = True  #: whether no selector was given
        self._names_all = False
        self._jids = Spool()
        for selector in selectors:
            self.is_unnamed = False
            self._add(selector)

    def _add(self, selector: Selector) -> None:
        """Take one selector."""
        if isinstance(selector, str):
            if selector == ALL:
                self._names_all = True
            elif selector in _STATES:
                self.states.append(State(selector))
            else:
                raise UsageError(f"{selector!r}: is neither a state nor a jid")
        elif isinstance(selector, Iterable):
            for jid in selector:
                self._add_jid(jid)
        else:
            self._add_jid(selector)

    def _add_jid(self, jid: object) -> None:
        """Take one jid."""
        if not isinstance(jid, int) or isinstance(jid, bool) or not 0 < jid <= LARGEST_JID:
            raise UsageError(f"{jid!r}: is not a jid")
        self._jids.append([jid])

    @property
    def is_everything(self) -> bool:
        """Whether all jobs are selected."""
        return self.is_unnamed or self._names_all

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

    def rows(self, tx: Transaction) -> Spool:
        """The rows of the selected jobs, ordered by jid, as ``jobs_of`` takes them."""
        where, values = self.condition(tx)
        return _spooled_jobs(tx, where, values)


#: Jobs that one statement changes.
BATCH = 10_000

#: The condition on ``jobs`` that goes with the values of ``Chosen.batches``.
IN_BATCH = "jid IN (SELECT jid FROM chosen WHERE jid > :after AND jid <= :last)"


class Chosen:
    """The selected jobs whose state allows something, as the temporary table ``chosen``; one a transaction.

    ``count`` is how many. ``refused`` holds jid and state of the others that were named by jid, ``missing``
    the jids of which there is no job, ``unmatched`` the named states that no job is in.

    ``among`` holds further jids to which the choice is restricted. Instead of a selection, ``like`` may name
    a command, which is run, and a tag.
    """

    def __init__(
        self,
        tx: Transaction,
        selection: Selection | None,
        allowed: Sequence[State],
        *,
        among: Spool | None = None,
        like: tuple[str, str | None] | None = None,
    ) -> None:
        self._tx = tx
        self.refused, self.missing = Spool(), Spool()
        self.unmatched: list[State] = []
        where, values = "command = ? AND tag IS ? AND kind IS NULL", list[object](like or ())
        if selection is not None:
            where, values = selection.condition(tx)
        if among is not None:
            tx.execute("CREATE TEMP TABLE among (jid INTEGER PRIMARY KEY)")
            tx.executemany("INSERT INTO among VALUES (?)", among)
            where += " AND jid IN (SELECT jid FROM among)"
        states = ",".join(f"'{state}'" for state in allowed)
        tx.execute("CREATE TEMP TABLE chosen (jid INTEGER PRIMARY KEY)")
        sql = f"INSERT INTO chosen SELECT jid FROM jobs WHERE state IN ({states}) AND {where}"  # noqa: S608
        self.count = tx.execute(sql, values).rowcount
        if selection is not None:
            self._explain(selection)

    def _explain(self, selection: Selection) -> None:
        """Find what was named and is not chosen."""
        if selection.names_jids:
            refused = """SELECT jid, state FROM jobs WHERE jid IN (SELECT jid FROM wanted)
                         AND jid NOT IN (SELECT jid FROM chosen) ORDER BY jid"""
            self.refused, self.missing = _spooled(self._tx, refused), _spooled(self._tx, MISSING)
        for state in selection.states:
            if self._tx.execute("SELECT 1 FROM jobs WHERE state = ? LIMIT 1", (state,)).fetchone() is None:
                self.unmatched.append(state)

    def refuse(self, why: str) -> None:
        """Take out, as refused, the jobs of which ``why``, an SQL expression, is not NULL but a text."""
        found = _spooled(
            self._tx,
            f"""SELECT jid, {why} AS why FROM jobs
                WHERE jid IN (SELECT jid FROM chosen) AND why IS NOT NULL ORDER BY jid""",  # noqa: S608
        )
        for row in found:
            self.refused.append(row)
            self._tx.execute("DELETE FROM chosen WHERE jid = ?", row[:1])
        self.count -= len(found)

    def jids(self) -> list[int]:
        """The jids, in order."""
        return [row[0] for row in self._tx.execute("SELECT jid FROM chosen ORDER BY jid")]

    def rows(self) -> Spool:
        """The rows as they are now, as ``jobs_of`` takes them."""
        return _spooled_jobs(self._tx, "jid IN (SELECT jid FROM chosen)")

    def batches(self) -> Iterator[dict[str, object]]:
        """Ranges of the jids, as values for ``IN_BATCH``; the holder beats between them."""
        sql = "SELECT max(jid) FROM (SELECT jid FROM chosen WHERE jid > ? ORDER BY jid LIMIT ?)"
        after = 0
        while (last := self._tx.execute(sql, (after, BATCH)).fetchone()[0]) is not None:
            yield {"after": after, "last": last}
            self._tx.beat()
            after = last


def _spooled(tx: Transaction, sql: str, values: Sequence[object] = (), *, is_encoded: bool = False) -> Spool:
    """What ``sql`` selects, rows or, with ``is_encoded``, rows as JSON; the holder's record stays fresh."""
    spool = Spool(is_encoded=is_encoded)
    for count, row in enumerate(tx.execute(sql, values)):
        spool.append(row[0] if is_encoded else row)
        if count % 1024 == 0:
            tx.beat()
    return spool


def _spooled_jobs(tx: Transaction, where: str, values: Sequence[object] = ()) -> Spool:
    """The rows of the jobs that meet ``where``, by jid, in a spool.

    Where there are many SQLite writes each as JSON (https://www.sqlite.org/json1.html#jarray): that is twice
    as fast as making Python's objects of its columns, and the lock is held for half the time.
    """
    # Without an order the look ends at the job that makes them many: nothing is sorted for it.
    more = f"SELECT 1 FROM jobs WHERE {where} LIMIT 1 OFFSET {_MANY - 1}"  # noqa: S608
    are_many = tx.execute(more, values).fetchone() is not None
    columns = f"json_array({COLUMNS})" if are_many else COLUMNS
    sql = f"SELECT {columns} FROM jobs WHERE {where} ORDER BY jid"  # noqa: S608
    return _spooled(tx, sql, values, is_encoded=are_many)


#: So many jobs are worth the import of json.
_MANY = 100

_STATES = frozenset(State)
