"""What can be done inside an open transaction: statements, signs of life, a copy of the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path

from rq_py.errors import Busy
from rq_py.locking.queuelock import HeldLock
from rq_py.queuedir import Generation
from rq_py.store.database import storage_errors

Parameters = Sequence[object] | dict[str, object]

#: Pages that are copied between two beats: 4 MiB.
_PAGES = 1024
#: How often in a row a step of a copy, of which nobody else knows, may be busy: a quarter of a second each.
_MOST_BUSY = 8


class Transaction:
    """An open transaction: what claims and queries work with."""

    def __init__(self, connection: sqlite3.Connection, lock: HeldLock, generation: Generation) -> None:
        self._connection = connection
        self._lock = lock
        self.generation = generation  #: the generation that this transaction reads and writes

    def execute(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        """Run one statement with bound parameters."""
        return self._connection.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> int:
        """Run one statement for each row; returns the rows changed. The holder's record stays fresh."""
        return self._connection.executemany(sql, self._beating(rows)).rowcount

    def _beating(self, rows: Iterable[Parameters]) -> Iterator[Parameters]:
        """Pass rows on, with a beat every few milliseconds' worth of them."""
        for count, row in enumerate(rows, 1):
            if count % 1024 == 0:
                self._lock.beat()
            yield row

    def beat(self) -> None:
        """Show that the holder is alive; to be called at least every few seconds of a long transaction."""
        self._lock.beat()

    def beating(self) -> AbstractContextManager[None]:
        """Beat by itself while the block is one statement that may take long."""
        return self._lock.beating()

    def backup(self, path: Path) -> None:
        """Copy the database as this transaction sees it to the file at ``path``, which it replaces.

        By SQLite's online backup, page by page (https://www.sqlite.org/backup.html): bounded memory, and
        nothing is sent to stable storage yet. Raises StorageError.
        """
        with storage_errors(path), closing(sqlite3.connect(path, isolation_level=None)) as copy:
            # Whoever is killed in it leaves a draft, so its own journal would be for nothing.
            copy.execute("PRAGMA journal_mode=OFF")
            copy.execute("PRAGMA synchronous=OFF")
            self._connection.backup(copy, pages=_PAGES, progress=self._watcher(path))

    def _watcher(self, path: Path) -> Callable[[int, int, int], None]:
        """What is told of each step of a copy to ``path``: sqlite3 itself would try a busy one for ever."""
        busy = 0

        def watch(status: int, _remaining: int, _pages: int) -> None:
            nonlocal busy
            busy = busy + 1 if status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} else 0
            if busy > _MOST_BUSY:
                raise Busy(f"{path}: cannot be locked: do locks work on this mount?")
            self._lock.beat()

        return watch
