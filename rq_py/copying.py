"""Copies of a queue: a snapshot (the rows, for reading) and a backup (everything, a queue again).

Both are made hidden beside their place and published by one rename. The queue lock is held only while the
pages of the database are copied; files are copied after that, without it.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import cast

from rq_py import settings as settings_file
from rq_py.clock import utc_text
from rq_py.errors import NotAQueue, QueueExists, UsageError
from rq_py.job import Reason
from rq_py.queuedir import STREAMS, QueueDir
from rq_py.settings import SNAPSHOT, Settings
from rq_py.spool import Spool
from rq_py.store.draft import Draft, draft_of, make_folders
from rq_py.store.duplicate import duplicate
from rq_py.store.files import file_errors
from rq_py.store.opened import Parameters
from rq_py.store.transaction import Store

#: Files that are copied between two signs of life.
_TOUCH_EVERY = 1000

#: Why link(2) cannot give a file a second name here, though it can be copied.
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})

# A backup has no feeder: nobody will ever report how these ended. The same as a burial (claims.py).
_BURY_RUNNING = (
    """INSERT OR REPLACE INTO attempts (jid, attempt, token, runner, started, pid, finished, elapsed, reason)
       SELECT jid, attempt, token, runner, started, pid, :now,
           round(max(julianday(:now) - julianday(started), 0) * 86400, 3), :reason
       FROM jobs WHERE state = 'running' AND restartable = 1""",
    """UPDATE jobs SET state = 'pending', expires = NULL, token = '', feeder = NULL,
           runner = NULL, pid = NULL, started = NULL
       WHERE state = 'running' AND restartable = 1""",
    """UPDATE jobs SET state = 'dead', finished = :now, reason = :reason,
           elapsed = round(max(julianday(:now) - julianday(started), 0) * 86400, 3)
       WHERE state = 'running'""",
)


def snapshot(store: Store, place: Path) -> Path:
    """Copy the rows to ``place``, for reading; an older snapshot there is replaced. Returns ``place``.

    Raises QueueExists when anything else is there, StorageError, LockTimeout.
    """
    is_old = os.path.lexists(place)
    if is_old and _kind(place) != SNAPSHOT:
        raise QueueExists(f"{place}: exists and is not a snapshot: give another name")
    with draft_of(place) as draft:
        settings = store.settings._replace(uuid=os.urandom(16).hex(), kind=SNAPSHOT)
        copy_rows(store, draft, settings, "snapshot", [])
        draft.complete(settings)
        if is_old:
            draft.publish_instead()
        else:
            draft.publish()
    return place


def backup(store: Store, place: Path) -> Path:
    """Copy the whole queue, streams and data too, to ``place``, which is a queue then. Returns ``place``.

    A job that runs now is of no feeder there: it is dead with the reason ``backup``, or pending where it
    is restartable. Raises QueueExists, StorageError, LockTimeout.
    """
    if os.path.lexists(place):
        raise QueueExists(f"{place}: exists: give another name")
    with draft_of(place) as draft:
        settings = store.settings._replace(uuid=os.urandom(16).hex())
        values: Parameters = {"now": utc_text(), "reason": Reason.BACKUP}
        kept, pending, dead = _BURY_RUNNING
        buried: list[tuple[str, Parameters]] = [(kept, values), (pending, ()), (dead, values)]
        copy_rows(store, draft, settings, "backup", buried, whole=True)
        with file_errors(draft.directory.path), suppress(FileNotFoundError):  # a rotation has no bin
            shutil.copytree(store.directory.bin, draft.directory.bin, symlinks=True, dirs_exist_ok=True)
        missing = carry_files(store.directory, draft, settings, may_link=False)
        draft.complete(settings)
        draft.publish()
    if missing:
        store.notify(f"{place}: {missing} jobs were deleted while it was made: their input is not in it")
    return place


def _kind(place: Path) -> str | None:
    """What is at ``place``: the kind of a queue directory, None for anything else."""
    try:
        return settings_file.read(QueueDir(place).settings).kind
    except NotAQueue:
        return None


def copy_rows(
    store: Store,
    draft: Draft,
    settings: Settings,
    maker: str,
    changes: Iterable[tuple[str, Parameters]],
    *,
    whole: bool = False,
) -> None:
    """Fill the draft with its folders and a copy of the database, to which ``changes`` are applied.

    With ``whole`` it gets all that a queue has. Raises StorageError, LockTimeout.
    """
    directory = draft.directory
    kept = {*STREAMS, "data"}
    folders = tuple(folder for folder in directory.folders if whole or folder.name in kept)
    with file_errors(directory.path):
        make_folders(directory, settings, folders, _gid(settings))
    duplicate(store, directory, settings, maker, changes)


def _gid(settings: Settings) -> int:
    """The number of the group that shares the queue, -1 for none. Raises UsageError."""
    if not settings.group:
        return -1
    import grp

    try:
        return grp.getgrnam(settings.group).gr_gid
    except KeyError:
        raise UsageError(f"{settings.group}: this node knows no such group") from None


def carry_files(source: QueueDir, draft: Draft, settings: Settings, *, may_link: bool) -> int:
    """Give the jobs in the draft their streams and data, from ``source``, without any lock.

    With ``may_link`` a file gets a second name where that is possible, else it is copied. What is not there
    (any more) is passed over; returns of how many jobs that was the input. Raises StorageError.
    """
    carrier = _Carrier(settings, may_link, draft.touch)
    missing = 0
    with file_errors(draft.directory.path):
        for row in _with_files(Store(draft.directory, settings)):
            jid, has_stdin, was_started, has_data = cast("tuple[int, int, int, int]", row)
            for name in STREAMS:
                if has_stdin if name == "stdin" else was_started:
                    name_of_both = f"{name}/{jid}"
                    old, new = f"{source.path}/{name_of_both}", f"{draft.directory.path}/{name_of_both}"
                    missing += not carrier.file(old, new) and name == "stdin"
            if has_data and not carrier.data(source.data(jid), draft.directory.data(jid)):
                missing += 1
    return missing


def _with_files(store: Store) -> Spool:
    """The jobs that may have files: jid, has stdin, was started, has data."""
    spool = Spool()
    with store.read() as tx:
        for row in tx.execute(
            """SELECT jid, has_stdin, attempt > 0, has_data FROM jobs
               WHERE has_stdin OR has_data OR attempt > 0 ORDER BY jid"""
        ):
            spool.append(row)
    return spool


class _Carrier:
    """Links or copies files, and shows now and then that it is at work."""

    def __init__(self, settings: Settings, may_link: bool, touch: Callable[[], None]) -> None:
        self._settings = settings
        self._may_link = may_link
        self._touch = touch
        self._count = 0

    def file(self, source: str, target: str, mode: int | None = None) -> bool:
        """Link or copy a regular file; returns whether it is there. Raises OSError."""
        self._count += 1
        if self._count % _TOUCH_EVERY == 0:
            self._touch()
        try:
            found = os.lstat(source)
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode):
            return True  # nobody's stream: a job put something else there
        if self._may_link:
            try:
                os.link(source, target, follow_symlinks=False)
            except FileNotFoundError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
            else:
                return True
        return _copy_file(source, target, self._settings.file_mode if mode is None else mode)

    def data(self, source: Path, target: Path) -> bool:
        """Link or copy the data of a job, a file or a directory; returns whether it is there."""

        def carry(found: str, copy: str) -> None:
            self.file(found, copy, stat.S_IMODE(os.lstat(found).st_mode) & 0o777)

        with suppress(FileNotFoundError):
            if not source.is_dir() or source.is_symlink():
                carry(str(source), str(target))
                return target.exists()
            try:
                shutil.copytree(
                    source, target, symlinks=True, copy_function=cast("Callable[..., None]", carry)
                )
            except shutil.Error as error:
                # One tuple (source, copy, why) for each file that could not be copied.
                name, _, why = error.args[0][0]
                raise OSError(errno.EIO, f"cannot be copied: {why}", name) from error
            return True
        return False


def _copy_file(source: str, target: str, mode: int) -> bool:
    """Copy the bytes and times of a regular file; False when it is not there any more."""
    try:
        # Without O_NONBLOCK a fifo that came in its place would be waited for.
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(out, "wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
            copy.flush()
            os.fchmod(out, mode)
            os.utime(out, ns=(found.st_atime_ns, found.st_mtime_ns))
    return True
