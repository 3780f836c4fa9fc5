"""SQLite's rollback journal as NFS needs it: revalidated before SQLite looks, locked while it writes."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress

from rq_py.errors import Busy
from rq_py.queuedir import Generation
from rq_py.store.files import file_errors

#: How a journal begins that holds a transaction (https://www.sqlite.org/fileformat.html, section 3);
#: PERSIST leaves zeros there after the commit.
_MAGIC = bytes.fromhex("d9d505f920a163d7")


def revalidate(generation: Generation, *, may_write: bool, mode: int) -> bool:
    """Have NFS ask the server about the journal; returns whether a half-done transaction lies in it.

    SQLite decides by stat(2) whether there is a journal, and a client may answer that from its
    cache. An open is answered by the server; O_CREAT, because a sqlite3 shell may have deleted it.
    """
    flags = (os.O_RDWR | os.O_CREAT) if may_write else os.O_RDONLY
    try:
        descriptor = os.open(generation.journal, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    except FileNotFoundError:
        return False
    try:
        begins = os.read(descriptor, len(_MAGIC))
        if not begins and may_write:
            with suppress(PermissionError):  # somebody else made it, and sees to that
                os.fchmod(descriptor, mode)  # the umask must not keep out a group that shares the queue
        return begins == _MAGIC
    finally:
        os.close(descriptor)


class JournalLock:
    """An fcntl lock on the journal, through a descriptor of its own.

    With it an NFSv4 server refuses our writes to the journal once our lease is over. SQLite locks the
    database only, and a late write to the journal alone would roll back what others have committed
    since. Take it after BEGIN IMMEDIATE: SQLite's check for a hot journal closes the file, which drops
    the process's locks on it. Close it after the connection, for the same reason.
    """

    def __init__(self, generation: Generation) -> None:
        """Lock. Raises Busy when another program holds the journal, StorageError."""
        with file_errors(generation.journal):
            self._descriptor = os.open(generation.journal, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(self._descriptor)
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    raise Busy(f"{generation.journal}: another program holds it: close that") from error
                raise

    def close(self) -> None:
        """Unlock. Never raises: whether the commit stands was decided before."""
        try:
            os.close(self._descriptor)
        except OSError:
            return
