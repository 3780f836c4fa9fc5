"""Deleting jobs by their age, and removing the streams and data of deleted ones, safe to be killed in.

The transaction that deletes the rows notes their jids in ``removals``. The files are removed after it,
without the queue lock, then the notes. Jids are never used again, so doing it twice, or late, harms nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rq_py.errors import StorageError
from rq_py.job import TERMINAL
from rq_py.queuedir import STREAMS, QueueDir
from rq_py.store.files import remove_tree
from rq_py.store.transaction import Store, Transaction

#: The folders of a queue that hold one file, or folder, for a job.
KINDS = (*STREAMS, "data")

#: Jobs whose files are removed between two transactions.
BATCH = 10_000

# One range of the index jobs_state, which ends with the rowid: no sorting, and no row outside is looked at.
OLDEST = """
    SELECT jid, submitted, finished < :cutoff FROM jobs
    WHERE state = :state AND (submitted, jid) > (:submitted, :jid) AND submitted < :cutoff
    ORDER BY submitted, jid LIMIT :limit
"""

_STATES = sorted(TERMINAL)


class Place(NamedTuple):
    """How far a search through the jobs that have ended has come: a state by its number, a row in it."""

    state: int = 0
    submitted: str = ""
    jid: int = 0


def delete_past(
    tx: Transaction, cutoff: str, place: Place, *, most: int, looked_at: int
) -> tuple[list[int], Place | None]:
    """Delete jobs that were submitted and had ended before ``cutoff`` (a time), by the order of submit.

    It begins at ``place``, and ends after ``most`` jobs or after looking at so many rows. Their files are
    noted for removal. Returns the jids, and the place to go on from, None at the end.
    """
    values = {**place._asdict(), "state": _STATES[place.state], "cutoff": cutoff, "limit": looked_at}
    jids: list[int] = []
    following: Place | None = Place(place.state + 1) if place.state + 1 < len(_STATES) else None
    for rows, (jid, submitted, is_past) in enumerate(tx.execute(OLDEST, values), 1):
        if is_past:
            jids.append(jid)
        if len(jids) == most or rows == looked_at:
            following = Place(place.state, submitted, jid)
            break
    tx.executemany("INSERT OR IGNORE INTO removals VALUES (?)", _singles(jids))
    tx.executemany("DELETE FROM jobs WHERE jid = ?", _singles(jids))
    return jids, following


def remove_noted(store: Store) -> int:
    """Remove the files of all jobs in ``removals``; returns of how many. Raises StorageError."""
    removed = 0
    while True:
        with store.read() as tx:
            jids = [row[0] for row in tx.execute("SELECT jid FROM removals LIMIT ?", (BATCH,))]
        if not jids:
            return removed
        remove_files_of(store, jids)
        removed += len(jids)


def remove_files_of(store: Store, jids: Sequence[int], *, timeout: float | None = None) -> None:
    """Remove the files of jobs that are noted, then the notes; ``timeout`` as in ``Store.write``.

    Raises StorageError, LockTimeout: what is still noted then is left to ``remove_noted``.
    """
    kinds = [kind for kind in KINDS if _has_entries(store.directory, kind)]
    removed: list[int] = []
    failure: StorageError | None = None
    for jid in jids:
        try:
            remove_files(store.directory, jid, kinds)
        except StorageError as error:
            failure = failure or error
        else:
            removed.append(jid)
    with store.write(timeout=timeout) as tx:
        tx.executemany("DELETE FROM removals WHERE jid = ?", _singles(removed))
    if failure is not None:
        raise failure


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
    """Remove streams and data of one job, as far as they are there and may be removed.

    Raises StorageError for what may be removed later.
    """
    for kind in kinds:
        path = f"{directory.path}/{kind}/{jid}"  # pathlib would take three times as long as the removal
        try:
            os.unlink(path)
        except IsADirectoryError:
            _remove_folder(path)
        except (FileNotFoundError, PermissionError):
            continue
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error


def _remove_folder(path: str) -> None:
    """Remove a job's data. Raises StorageError as ``remove_files`` does."""
    import shutil

    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return  # somebody else removes it at the same time
    except PermissionError:
        remove_tree(Path(path))  # all but what is not ours
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
