"""Waiting for jobs to end: which of them have, and when it is worth asking the queue again.

Nobody is told when a job ends, and the queue lock is shared with the feeders. So the journal is looked at,
which takes no lock, and the jobs only after something was committed, for a small share of the time.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator, Sequence
from typing import cast

from rq_py.errors import WaitTimeout
from rq_py.job import TERMINAL, Job, State
from rq_py.selection import MISSING, Selection, Selector
from rq_py.spool import Spool
from rq_py.store.rows import COLUMNS, jobs_of
from rq_py.store.transaction import Store

#: Seconds between two looks at the journal: at first, and at most when nothing changes.
SHORTEST, LONGEST = 0.05, 1.0
#: Seconds after which the jobs are looked at although nothing seems to have been committed.
LOOK_ANYWAY = 30.0
#: The share of the time that looks at the jobs may take, and the least seconds between two of them.
_SHARE, _LEAST_APART = 0.05, 0.1

#: Jobs that are looked at in one transaction: some hundredths of a second under the lock.
AT_ONCE = 2000

_ENDED = ",".join(f"'{state}'" for state in State if state in TERMINAL)
_NOT_ENDED = ",".join(f"'{state}'" for state in State if state not in TERMINAL)


class Looks:
    """When to look at the jobs of a queue again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mark: object = None
        self._begun = self._ended = -LOOK_ANYWAY
        self._apart = 0.0

    def are_due(self) -> bool:
        """Whether something was committed since the last look, and that is long enough ago."""
        now = time.monotonic()
        if now - self._ended < self._apart:
            return False
        mark = self._store.mark()  # from before the look: what is committed meanwhile is noticed
        if mark == self._mark and now - self._ended < LOOK_ANYWAY:
            return False
        self._mark, self._begun = mark, now
        return True

    def done(self) -> None:
        """The look that was due is over."""
        self._ended = time.monotonic()
        self._apart = max(_LEAST_APART, (self._ended - self._begun) / _SHARE)


class Wait:
    """A wait for some jobs of a queue, none of which needs to exist.

    Without a selector, or for states, the jobs of now are meant: those that have not ended, or are in these
    states. ``count`` says how many there are, ``missing`` which jids were named and have no job, or were
    deleted while they were waited for.
    """

    def __init__(self, store: Store, selectors: Sequence[Selector]) -> None:
        """Find the jobs. Raises UsageError, LockTimeout, StorageError."""
        self.missing: list[int] = []
        self._store = store
        self._looks = Looks(store)
        selection = Selection(selectors)
        self._left = array("q")
        with store.read() as tx:
            where, values = selection.condition(tx)
            if selection.is_everything:
                where = f"state IN ({_NOT_ENDED})"
            sql = f"SELECT jid FROM jobs WHERE {where} ORDER BY jid"  # noqa: S608
            self._left.extend(jid for (jid,) in tx.execute(sql, values))
            if selection.names_jids:
                self.missing += [jid for (jid,) in tx.execute(MISSING)]
        self.count = len(self._left)

    @property
    def left(self) -> int:
        """How many of the jobs have not ended yet, as far as is known."""
        return len(self._left)

    def ended(self, timeout: float | None = None) -> Iterator[Job]:
        """Each job when it has ended: at once those that have, then as it happens; in the end all of them.

        ``timeout`` is seconds for the whole wait, None for ever. Raises WaitTimeout when it is over before
        all have ended, LockTimeout, StorageError.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = SHORTEST
        while self._left:
            if self._looks.are_due():
                jobs = self._look()
                self._looks.done()  # before they are taken, which may take all night
                for job in jobs:
                    pause = SHORTEST
                    yield job
            if not self._left:
                return
            remaining = LONGEST if deadline is None else deadline - time.monotonic()
            if remaining <= 0:
                raise WaitTimeout(
                    f"{self._store.directory.path}: {self.left} of {self.count} jobs have not ended within "
                    f"{timeout:g} s: job {self._left[0]} is one of them"
                )
            time.sleep(min(pause, remaining))
            pause = min(pause * 1.5, LONGEST)

    def _look(self) -> Iterator[Job]:
        """The jobs that have ended since the last look; they are not waited for any longer."""
        ended, left = Spool(), array("q")
        for begin in range(0, len(self._left), AT_ONCE):
            some = self._left[begin : begin + AT_ONCE]
            with self._store.read() as tx:
                where, values = Selection([some]).condition(tx)
                # The + keeps SQLite from walking through all that have ended by the index of states.
                sql = f"SELECT {COLUMNS} FROM jobs WHERE {where} AND +state IN ({_ENDED}) ORDER BY jid"  # noqa: S608
                rows = tx.execute(sql, values).fetchall()
                deleted = [jid for (jid,) in tx.execute(MISSING)]
            for row in rows:
                ended.append(row)
            self.missing += deleted
            gone = {*deleted, *(row[0] for row in rows)}
            left.extend(jid for jid in some if jid not in gone)
        self._left = left
        return jobs_of(cast("Iterator[list[object]]", iter(ended)))
