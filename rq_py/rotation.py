"""Rotate: the jobs that have ended move, with their streams and data, to a directory of their own.

The order is what keeps every job: rows and files go into a hidden draft, all of it is synced, one rename
publishes the rotation, and only then the queue lets go of those jobs. Killed anywhere, a job is in the
queue, or in both, and then the queue's counts. The mark ``moving`` says that the second half is still to be
done: rotating to the same name does it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rq_py import settings as settings_file
from rq_py.copying import carry_files, copy_rows
from rq_py.errors import NotAQueue, OutcomeUnknown, QueueExists, StorageError
from rq_py.formats import flat
from rq_py.queuedir import QueueDir
from rq_py.removal import remove_files, remove_noted
from rq_py.settings import ROTATION
from rq_py.spool import Spool
from rq_py.store.draft import draft_file, draft_of
from rq_py.store.files import file_errors, remove_tree, sync_directory, sync_name, write_new
from rq_py.store.transaction import Store

_ONLY_ENDED = (
    "DELETE FROM jobs WHERE state NOT IN ('finished', 'dead')",
    "DELETE FROM dependencies WHERE jid NOT IN (SELECT jid FROM jobs)",
    "DELETE FROM settling",  # nothing there is ever claimed
)

# The jobs that are not as they were copied: an attempt only grows, and a dead one may still become finished.
_CHANGED = """
    CREATE TEMP TABLE changed AS
    SELECT jid, EXISTS (SELECT 1 FROM jobs WHERE jobs.jid = moved.jid) AS is_there FROM moved
    WHERE NOT EXISTS (
        SELECT 1 FROM jobs WHERE jobs.jid = moved.jid AND jobs.attempt = moved.attempt
            AND jobs.state = CASE WHEN moved.is_dead THEN 'dead' ELSE 'finished' END)
"""


def _nothing(_step: str) -> None:
    """Go on."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """Where the rotation is, None when there was nothing to rotate, and how many jobs are in it."""

    path: Path | None
    jobs: int


def rotate(
    store: Store, place: Path, *, tgz: bool = False, at_step: Callable[[str], None] = _nothing
) -> Rotated:
    """Move the jobs that have ended to a rotation at ``place``; with ``tgz`` it becomes ``place.tgz``.

    A rotation to ``place`` that was killed is completed. ``at_step`` is called with the name of each step
    just done (rows, files, complete, published, deleted, amended, removed, done, packed, unpacked): tests
    kill there. Raises QueueExists, StorageError, LockTimeout.
    """
    store.check_writable()
    packed = place.with_name(f"{place.name}.tgz")
    if tgz and os.path.lexists(packed):
        raise QueueExists(f"{packed}: exists: give another name")
    is_new = not os.path.lexists(place)
    if is_new:
        if not _has_ended(store):
            return Rotated(None, 0)
        _copy(store, place, at_step)
    elif not _is_to_be_completed(store, place, tgz):
        raise QueueExists(f"{place}: exists and is no rotation to be completed: give another name")
    try:
        jobs = _move(store, place, is_new, at_step)
    except StorageError as error:
        raise StorageError(
            f"{place}: is there, but is not complete: rotate to the same name again: {error}"
        ) from error
    if tgz:
        _pack(place, packed, store.settings.file_mode, at_step)
        return Rotated(packed, jobs)
    return Rotated(place, jobs)


def _has_ended(store: Store) -> bool:
    """Whether there is a job to rotate."""
    with store.read() as tx:
        row = tx.execute("SELECT 1 FROM jobs WHERE state IN ('finished', 'dead') LIMIT 1").fetchone()
    return row is not None


def _mark(place: Path) -> Path:
    """The file that says of which queue's jobs the rotation still is to be completed."""
    return place / "moving"


def _is_to_be_completed(store: Store, place: Path, tgz: bool) -> bool:
    """Whether ``place`` is a rotation of this queue whose maker was killed before its end."""
    try:
        if settings_file.read(QueueDir(place).settings).kind != ROTATION:
            return False
    except NotAQueue:
        return False
    try:
        text = _mark(place).read_text(encoding="utf-8")
    except FileNotFoundError:
        return tgz  # complete; it was killed while it was packed, or is to be packed later
    return (flat.parse(text) or {}).get("queue") == store.settings.uuid


def _copy(store: Store, place: Path, at_step: Callable[[str], None]) -> None:
    """First half: everything is copied, synced and published; the queue stays as it is."""
    settings = store.settings._replace(uuid=os.urandom(16).hex(), kind=ROTATION)
    with draft_of(place) as draft:
        copy_rows(store, draft, settings, "rotate", [(sql, ()) for sql in _ONLY_ENDED])
        at_step("rows")
        carry_files(store.directory, draft, settings, may_link=True)
        at_step("files")
        with file_errors(place):
            mark = _mark(draft.directory.path)
            write_new(mark, flat.emit({"queue": store.settings.uuid}).encode(), settings.file_mode)
        draft.complete(settings)
        at_step("complete")
        draft.publish()
    at_step("published")


def _move(store: Store, place: Path, is_new: bool, at_step: Callable[[str], None]) -> int:
    """Second half: the queue lets go of what is in the rotation. Returns how many jobs are in that now."""
    rotation = Store(QueueDir(place), settings_file.read(QueueDir(place).settings), timeout=store.timeout)
    if _mark(place).exists():
        copied = Spool()
        with rotation.read() as tx:
            for row in tx.execute("SELECT jid, attempt, state = 'dead' FROM jobs ORDER BY jid"):
                copied.append(row)
        try:
            changed = _delete(store, copied, is_new)
        except OutcomeUnknown:
            # Deleted or not: what is still there and unchanged can be deleted again, and the rest is gone.
            changed = _delete(store, copied, is_new=False)
        at_step("deleted")
        _amend(rotation, changed)
        at_step("amended")
        remove_noted(store)
        at_step("removed")
        with file_errors(place):
            _mark(place).unlink(missing_ok=True)
            sync_directory(place)
        at_step("done")
    with rotation.read() as tx:
        (jobs,) = tx.execute("SELECT count(*) FROM jobs").fetchone()
    return int(jobs)


def _delete(store: Store, copied: Spool, is_new: bool) -> Spool:
    """Delete the jobs that are as they were copied; returns the jids whose copy is void.

    These are jobs that were resubmitted since: the queue's copy counts. A job that is not in the queue was
    deleted by somebody since it was copied, if this is the first try (``is_new``), and is to be deleted from
    the rotation. Else it may be that we deleted it, before we were killed, and it is kept.
    """
    with store.write() as tx:
        tx.execute("CREATE TEMP TABLE moved (jid INTEGER PRIMARY KEY, attempt INTEGER, is_dead INTEGER)")
        tx.executemany("INSERT INTO moved VALUES (?, ?, ?)", copied)
        with tx.beating():
            tx.execute(_CHANGED)
            tx.execute("DELETE FROM moved WHERE jid IN (SELECT jid FROM changed)")
            tx.execute("INSERT OR IGNORE INTO removals SELECT jid FROM moved")
            tx.execute("DELETE FROM jobs WHERE jid IN (SELECT jid FROM moved)")
            changed = Spool()
            sql = "SELECT jid FROM changed WHERE is_there OR ? ORDER BY jid"
            for row in tx.execute(sql, (is_new,)):
                changed.append(row)
    return changed


def _amend(rotation: Store, void: Spool) -> None:
    """Take the jobs in ``void`` out of the rotation."""
    if not len(void):
        return
    with rotation.amend() as tx:
        tx.executemany("DELETE FROM jobs WHERE jid = ?", void)
    for row in void:
        remove_files(rotation.directory, int(str(row[0])))


def _pack(place: Path, packed: Path, mode: int, at_step: Callable[[str], None]) -> None:
    """Make a compressed archive of the rotation, durably, and remove that then. Raises StorageError."""
    draft = draft_file(packed)
    try:
        with file_errors(packed):
            _archive(place, draft, mode)
            os.rename(draft, packed)
            sync_name(packed)
    except BaseException:
        with suppress(FileNotFoundError):
            draft.unlink()
        raise
    at_step("packed")
    aside = draft_file(place)
    try:
        os.rename(place, aside)  # what is half removed must not look like a rotation
    except OSError as error:
        raise StorageError(
            f"{packed}: is there, but the rotation that it was made of cannot be removed: "
            f"{place}: {error.strerror}"
        ) from error
    with suppress(OSError):
        remove_tree(aside)
    at_step("unpacked")


def _archive(place: Path, draft: Path, mode: int) -> None:
    """Write the archive durably. Raises StorageError when tar fails."""
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        # The program tar: in bounded memory, and several times as fast as the module tarfile.
        words = ["tar", "-C", str(place.parent), "-cz", "--", f"./{place.name}"]
        done = subprocess.run(words, stdout=descriptor, stderr=subprocess.PIPE, check=False)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if done.returncode != 0:
        said = " ".join(done.stderr.decode(errors="replace").split()) or "tar failed"
        raise StorageError(f"{place}: cannot be packed, and stays as it is: {said}")
