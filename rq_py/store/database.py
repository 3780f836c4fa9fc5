"""Opening SQLite databases the one way that is safe on NFS. Errors of sqlite3 end here.

Why these settings: docs/explanation/lock-lease-generation.md and https://www.sqlite.org/pragma.html.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rq_py.errors import Busy, Corrupt, FormatTooNew, FormatTooOld, QueueError, StorageError

#: The schema version (PRAGMA user_version) that this rqpy reads and writes.
SCHEMA_VERSION = 4
#: The SQLite of Enterprise Linux 9; nothing newer is used, nothing older is tried.
LEAST_SQLITE = (3, 34, 0)
#: The SQLite that this Python has.
SQLITE_VERSION = sqlite3.sqlite_version_info

_BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def connect(path: Path, *, may_write: bool = True) -> sqlite3.Connection:
    """Open the database at ``path``, which must exist, in autocommit mode; transactions are explicit.

    Raises sqlite3.Error: wrap calls in ``storage_errors``.
    """
    if SQLITE_VERSION < LEAST_SQLITE:
        raise QueueError(f"SQLite {sqlite3.sqlite_version} is too old, 3.34 is the least: upgrade it")
    # What would end the path in a URI (https://www.sqlite.org/uri.html); urllib is slow to import.
    name = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    uri = f"file:{name}?mode={'rw' if may_write else 'ro'}"
    connection = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, cached_statements=64)
    try:
        if may_write:
            # First of all: the next pragma reads the schema, and so rolls back what a dead writer left,
            # still in SQLite's own mode DELETE, which would delete the journal. With exclusive locking
            # every mode keeps it (docs/decisions/0005).
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            # PERSIST: an NFS client believes a cached "there is no journal" for up to a minute, and then
            # reads a half-written database. A journal that always exists is opened: that asks the server.
            connection.execute("PRAGMA journal_mode=PERSIST")
            connection.execute("PRAGMA synchronous=FULL")
        # No mmap: a mapped page of another node's write would never be refreshed.
        connection.execute("PRAGMA mmap_size=0")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA trusted_schema=OFF")
    except BaseException:
        connection.close()
        raise
    return connection


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another program's lock is the cause: the low byte is the primary result code."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _BUSY_CODES


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what sqlite3 raises inside into Busy or StorageError, naming ``path``."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if is_busy(error):
            raise Busy(f"{path}: another program holds the database: close it") from error
        if code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise Corrupt(f"{path}: {error}: save what can be read with: rqpy QUEUE recover") from error
        if code == sqlite3.SQLITE_FULL:
            raise StorageError(f"{path}: the disk is full: make room and try again") from error
        raise StorageError(f"{path}: {error}") from error


def check_version(connection: sqlite3.Connection, path: Path, *, may_be_old: bool = False) -> None:
    """Raise FormatTooNew, or FormatTooOld unless it may be, when this rqpy must not touch the schema."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise FormatTooNew(
            f"{path}: has schema {version}, this rqpy knows up to {SCHEMA_VERSION}: upgrade rqpy here"
        )
    if version < SCHEMA_VERSION and not may_be_old:
        raise FormatTooOld(f"{path}: has schema {version}: upgrade it with: rqpy QUEUE recover --upgrade")
