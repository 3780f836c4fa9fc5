"""Removing the streams and data of deleted jobs, without the queue lock and safe to be killed in.

The transaction that deletes the rows notes their jids in ``removals``. The files are removed after it,
then the notes. Jids are never used again, so doing it twice, or late, harms nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from rq_py.queuedir import STREAMS, QueueDir
from rq_py.store.transaction import Store

#: The folders of a queue that hold one file, or folder, for a job.
KINDS = (*STREAMS, "data")

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
        kinds = [kind for kind in KINDS if _has_entries(store.directory, kind)]
        for jid in jids:
            remove_files(store.directory, jid, kinds)
        with store.write() as tx:
            tx.executemany("DELETE FROM removals WHERE jid = ?", _singles(jids))
        removed += len(jids)


def _singles(jids: Iterable[int]) -> Iterable[Sequence[object]]:
    """Each jid as the parameters of one statement."""
    return ((jid,) for jid in jids)


def _has_entries(directory: QueueDir, kind: str) -> bool:
    """Whether anything is in the folder of a kind: often nothing is, and each attempt costs a round trip."""
    try:
        with os.scandir(directory.path / kind) as entries:
            return next(entries, None) is not None
    except OSError:
        return True


def remove_files(directory: QueueDir, jid: int, kinds: Iterable[str] = KINDS) -> None:
    """Remove streams and data of one job, as far as they are there and may be removed."""
    for kind in kinds:
        path = f"{directory.path}/{kind}/{jid}"  # pathlib would take three times as long as the removal
        try:
            os.unlink(path)
        except IsADirectoryError:
            import shutil

            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue
