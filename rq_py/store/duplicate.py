"""A consistent copy of a queue's database as the first generation of another directory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing

from rq_py.queuedir import QueueDir
from rq_py.settings import Settings
from rq_py.store.database import connect, storage_errors
from rq_py.store.draft import make_generation_files
from rq_py.store.files import file_errors, write_new
from rq_py.store.generation import Generations
from rq_py.store.opened import Parameters
from rq_py.store.transaction import Store

#: The part of the pages, at least one in this many, that must be free for compacting to be worth it.
_FREE_PART = 8


def duplicate(
    store: Store,
    target: QueueDir,
    settings: Settings,
    maker: str,
    changes: Iterable[tuple[str, Parameters]],
) -> None:
    """Copy the database of ``store`` to ``target``, and apply ``changes`` (SQL, parameters) to the copy.

    The queue lock is held for the copying of the pages alone. ``maker`` is noted as the one who made the
    generation. It is ``Draft.complete`` that waits for stable storage. Raises StorageError, LockTimeout.
    """
    generation = target.generation(1)
    with file_errors(generation.path):
        write_new(generation.database, b"", settings.file_mode)
    with store.read() as tx:
        tx.backup(generation.database)
    with storage_errors(generation.database), file_errors(generation.database):
        # No journal and no syncs: a draft that is not finished is thrown away.
        with closing(sqlite3.connect(generation.database, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode=OFF")
            copy.execute("PRAGMA synchronous=OFF")
            copy.execute("PRAGMA temp_store=FILE")
            copy.execute("BEGIN")
            for sql, parameters in changes:
                copy.execute(sql, parameters)
            # What the original remembers of its own submits and deletions is none of the copy's business.
            copy.execute("DELETE FROM submits")
            copy.execute("DELETE FROM removals")
            copy.execute("UPDATE generation SET number = 1, maker = ''")
            copy.execute("COMMIT")
            (free,) = copy.execute("PRAGMA freelist_count").fetchone()
            (pages,) = copy.execute("PRAGMA page_count").fetchone()
            if free * _FREE_PART > pages:
                copy.execute("VACUUM")
        with closing(connect(generation.database)) as copy:
            # PERSIST is safe only with a journal that exists and is not empty. A change is needed: SQLite
            # does not write a row that stays as it was.
            copy.execute("UPDATE generation SET maker = ?", (maker,))
        make_generation_files(generation, maker, settings.file_mode)
    Generations(target, settings).point_at(generation)
