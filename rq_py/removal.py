"""Removing the streams and data of deleted jobs, without the queue lock and safe to be killed in.

The transaction that deletes the rows notes their jids in ``removals``. The files are removed after it,
then the notes. Jids are never used again, so doing it twice, or late, harms nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from rq_py.queuedir import STREAMS, QueueDir
from rq_py.store.transaction import Store

#: Jobs whose files are removed between two transactions.
BATCH = 10_000


def remove_noted(store: Store) -> int:
    """Remove the files of all jobs in ``removals``; returns of how many. Raises StorageError."""
    removed = 0
    while True:
        with store.read() as tx:
            jids = [row[0] for row in tx.execute("SELECT jid FROM removals LIMIT ?", (BATCH,))]
        if not jids:
            return removed
        for jid in jids:
            remove_files(store.directory, jid)
        with store.write() as tx:
            tx.executemany("DELETE FROM removals WHERE jid = ?", _singles(jids))
        removed += len(jids)


def _singles(jids: Iterable[int]) -> Iterable[Sequence[object]]:
    """Each jid as the parameters of one statement."""
    return ((jid,) for jid in jids)


def remove_files(directory: QueueDir, jid: int) -> None:
    """Remove streams and data of one job, as far as they are there and may be removed."""
    for name in STREAMS:
        with suppress(OSError):
            directory.stream(name, jid).unlink()
    data = directory.data(jid)
    try:
        data.unlink()
    except IsADirectoryError:
        import shutil

        shutil.rmtree(data, ignore_errors=True)
    except OSError:
        return
