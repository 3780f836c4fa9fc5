"""Making the generation after one whose lock will not come free: freeze, copy, check, publish.

A commit is acknowledged only when its generation is still not frozen afterwards. So a copy that is
made after the freezing, and that equals what it was copied from, holds everything that was ever
acknowledged. Any number of processes may make the same successor at once, or be killed in it.
"""

from __future__ import annotations

import errno
import filecmp
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rq_py.errors import Corrupt, StorageError
from rq_py.queuedir import Generation, QueueDir
from rq_py.settings import Settings
from rq_py.store.database import check_version, connect, storage_errors
from rq_py.store.draft import make_generation_files
from rq_py.store.files import file_errors, read_fresh, remove_tree, sync_directory

#: Seconds between two comparisons of a copy with a database that is still being written.
_COMPARE_PAUSE = 0.05

#: The name of a staged file: a token, and the position of the job in its submit.
_STAGED = re.compile(r"\.[0-9a-f]+\.([0-9]{1,18})")


def _nothing(_step: str) -> None:
    """Go on."""


def make(
    directory: QueueDir,
    settings: Settings,
    old: Generation,
    why: str,
    at_step: Callable[[str], None] = _nothing,
    *,
    mend: Callable[[Generation], None] | None = None,
) -> Generation:
    """Freeze ``old`` and make the generation after it; returns that one, whoever made it.

    ``why`` is kept in ``db.N/frozen``. ``at_step`` is called with the name of each step just done
    (frozen, copied, compared, checked, published): tests stop or kill there. ``mend`` is given the copy of
    a corrupt database before it is checked. Raises StorageError; ``old`` may be frozen by then, and the next
    caller goes on.
    """
    new = directory.generation(old.number + 1)
    token = os.urandom(8).hex()
    draft = directory.unfinished_generation(token)
    with file_errors(old.path):
        _check_space(directory, old)
        _freeze(old, f"{token} {why}\n")
        at_step("frozen")
        try:
            draft.path.mkdir()
            draft.path.chmod(settings.directory_mode)
            # The mkdir changed the directory, so a "there is no db.N+1" that this client had cached is void.
            if not new.frozen.exists():
                _copy(old, draft, settings.file_mode, at_step)
                if mend is not None:
                    mend(draft)
                _complete(draft, new.number, token, settings.file_mode, directory)
                at_step("checked")
                _publish(draft, new, token, directory.path)
                at_step("published")
        finally:
            remove_tree(draft.path)
    return new


def _check_space(directory: QueueDir, old: Generation) -> None:
    """Raise StorageError before anything is frozen when the copy would not fit."""
    space = os.statvfs(directory.path)
    needed = sum(path.stat().st_size for path in (old.database, old.journal) if path.exists())
    if space.f_bavail * space.f_frsize < needed + needed // 10:
        raise StorageError(f"{directory.path}: {needed} bytes are needed for a new generation: make room")


def _freeze(generation: Generation, text: str) -> None:
    """Write into ``frozen`` in place, durably. Whose text it is in the end does not matter."""
    descriptor = os.open(generation.frozen, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.pwrite(descriptor, text.encode(), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(old: Generation, draft: Generation, mode: int, at_step: Callable[[str], None]) -> None:
    """Copy database and journal until the copy equals, through fresh opens, what it was copied from.

    Both files are copied, and only then both are compared: so there was a moment between the two
    passes at which the old generation looked exactly like the copy.
    """
    pairs = ((old.database, draft.database), (old.journal, draft.journal))
    while True:
        for source, copy in pairs:
            _copy_file(source, copy, mode)
        at_step("copied")
        if all(_are_equal(source, copy) for source, copy in pairs):
            at_step("compared")
            return
        time.sleep(_COMPARE_PAUSE)


def _copy_file(source: Path, copy: Path, mode: int) -> None:
    """Copy through fresh opens, durably; a journal that somebody deleted becomes an empty one."""
    with open(copy, "wb") as out:
        os.fchmod(out.fileno(), mode)
        with suppress(FileNotFoundError), open(source, "rb") as data:
            shutil.copyfileobj(data, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())


def _are_equal(source: Path, copy: Path) -> bool:
    """Compare byte by byte through fresh opens."""
    filecmp.clear_cache()
    try:
        return filecmp.cmp(source, copy, shallow=False)
    except FileNotFoundError:
        return copy.stat().st_size == 0


def _complete(draft: Generation, number: int, token: str, mode: int, directory: QueueDir) -> None:
    """Open the copy, which rolls a half-done transaction back, check it and give it its own files."""
    queue = directory.path
    with storage_errors(draft.database):
        connection = connect(draft.database)
        try:
            # A real write: PERSIST is safe only with a journal that exists and is not empty.
            connection.execute("BEGIN IMMEDIATE")
            # An old schema is none of our business here; a newer one may need more than this copy.
            check_version(connection, queue, may_be_old=True)
            connection.execute("UPDATE generation SET number = ?, maker = ?", (number, token))
            _skip_jids(connection, directory)
            connection.execute("COMMIT")
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        finally:
            connection.close()
    if verdict != "ok":
        raise Corrupt(
            f"{queue}: the database of generation {number - 1} is corrupt ({' '.join(verdict.split())}): "
            "save what can be read with: rqpy QUEUE recover"
        )
    make_generation_files(draft, token, mode)


def _skip_jids(connection: sqlite3.Connection, directory: QueueDir) -> None:
    """Never give out a jid to which a submit in the old generation may still rename its stdin or data.

    Nothing fences those renames: a holder that wakes up late would give its stdin to somebody else's job.
    What it has staged it staged before it took the lock, so it can be seen here.
    """
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
    last = row[0] if row else 0
    highest = last
    for kind in ("stdin", "data"):
        sync_directory(directory.path / kind)
        for name in os.listdir(directory.path / kind):
            if name.isdecimal():
                highest = max(highest, int(name))
            elif staged := _STAGED.fullmatch(name):
                highest = max(highest, last + 1 + int(staged[1]))
    if highest > last and row:
        connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'jobs'", (highest,))
    elif highest > last:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (highest,))


def _publish(draft: Generation, new: Generation, token: str, queue: Path) -> None:
    """Rename the finished copy into place, unless another process was first."""
    try:
        os.rename(draft.path, new.path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return
        # The reply may be lost though the rename was done: the token inside tells.
        with suppress(FileNotFoundError):
            if read_fresh(new.maker) == f"{token}\n".encode():
                return
        raise
    sync_directory(queue)
