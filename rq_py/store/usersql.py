"""SQL that a user wrote: run so that it can do what was asked, and nothing else.

SQLite itself sees to it, by an authorizer that is asked about every action of a statement before it runs
(https://www.sqlite.org/c3ref/set_authorizer.html), and not by a look at the text.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from rq_py.errors import RqError, UsageError
from rq_py.runner.identity import boottime
from rq_py.store.opened import Parameters, Transaction

#: Seconds that the statements of one transaction may take together: others wait for the lock meanwhile.
LONGEST_SECONDS = 60.0
#: Steps of SQLite's virtual machine between two looks at the clock: some milliseconds.
_STEPS = 50_000
#: The longest value in bytes. The longest that a job has are its variables, 1 MiB.
_LONGEST_VALUE = 8 * 1024 * 1024
#: Bytes by which the process may grow: results are spooled, but SQLite sorts in memory here.
_MOST_MEMORY = 1024 * 1024 * 1024

_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_CHANGING = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
#: Functions that reach beyond the database: the second hands SQLite an address to call.
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer"})
#: Pragmas that only tell something, also with an argument.
_TELLING = frozenset({"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo"})
#: Pragmas that only tell something as long as they have no argument.
_TELLING_ALONE = frozenset({"user_version", "query_only", "page_count", "page_size", "freelist_count"})
#: The table whose rows a user may change. A job's files have its jid as name, so that one stays.
_TABLE, _FIXED_COLUMNS = "jobs", frozenset({"jid", "rowid"})

#: What the user's text, not the database, is to blame for (https://www.sqlite.org/rescode.html).
_USERS_FAULT = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    }
)
_LONGEST_MESSAGE = 200

# What the statements change is noted by temporary triggers, which are gone with the connection. They do not
# say OR IGNORE: a conflict clause of the user's would override it (sqlite.org/lang_createtrigger.html).
_NOTE_CHANGES = """
    CREATE TEMP TABLE changed (jid INTEGER PRIMARY KEY);
    CREATE TEMP TRIGGER rqpy_inserted AFTER INSERT ON main.jobs BEGIN
        INSERT INTO changed SELECT new.jid WHERE new.jid NOT IN (SELECT jid FROM changed);
    END;
    CREATE TEMP TRIGGER rqpy_updated AFTER UPDATE ON main.jobs BEGIN
        INSERT INTO changed SELECT new.jid WHERE new.jid NOT IN (SELECT jid FROM changed);
    END;
    CREATE TEMP TRIGGER rqpy_deleted AFTER DELETE ON main.jobs
        WHEN old.has_stdin OR old.has_data OR old.attempt > 0 BEGIN
        INSERT INTO removals SELECT old.jid WHERE old.jid NOT IN (SELECT jid FROM removals);
    END;
"""
_TRIGGERS = ("rqpy_inserted", "rqpy_updated", "rqpy_deleted")


class ChangesRowsError(Exception):
    """A statement that was to read only would change rows of ``jobs``."""


@contextmanager
def reading(tx: Transaction) -> Iterator[Guard]:
    """Statements that only read. Raises UsageError, one line, for whatever is wrong with one.

    Raises ChangesRowsError for a statement that would be allowed in ``changing``.
    """
    tx.execute("PRAGMA query_only=ON")
    with _guarded(tx, may_change=False) as guard:
        yield guard


@contextmanager
def changing(tx: Transaction) -> Iterator[Guard]:
    """Statements that may also change rows of ``jobs``, and nothing else. Raises UsageError.

    Afterwards the temporary table ``changed`` holds the jids that were inserted or updated; files of deleted
    jobs are noted in ``removals``.
    """
    from rq_py.store import migrate

    # Else a row that REPLACE removes would go without the triggers (https://www.sqlite.org/lang_conflict.html).
    tx.execute("PRAGMA recursive_triggers=ON")
    migrate.apply(tx.execute, _NOTE_CHANGES)
    with _guarded(tx, may_change=True) as guard:
        yield guard
    for trigger in _TRIGGERS:
        tx.execute(f"DROP TRIGGER temp.{trigger}")


@contextmanager
def _guarded(tx: Transaction, *, may_change: bool) -> Iterator[Guard]:
    """Put authorizer, clock and limits in place, and say in one line what they refuse."""
    connection = tx.execute("SELECT 1").connection
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    guard = Guard(tx, may_change)
    connection.set_authorizer(guard.authorize)
    connection.set_progress_handler(guard.watch, _STEPS)
    # A user may have made text of any bytes; what is no UTF-8 must not end the listing of the rest.
    connection.text_factory = _text
    try:
        yield guard
    except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError, OverflowError) as error:
        raise guard.verdict(error) from error
    finally:
        connection.text_factory = str
        connection.set_progress_handler(None, 0)
        connection.set_authorizer(None)


class Guard:
    """Runs the statements of one transaction, and knows why one of them was refused or ended."""

    def __init__(self, tx: Transaction, may_change: bool) -> None:
        self._tx = tx
        self._may_change = may_change
        self._deadline = boottime() + LONGEST_SECONDS
        self._most_memory = _memory() + _MOST_MEMORY
        self._failure: Exception | None = None  # why the clock ended a statement
        self._denied: str | None = None  # the first thing that the authorizer refused
        self._would_change = False
        self._total_changes = tx.execute("SELECT 1").connection.total_changes

    def run(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        """Run one statement; the rows are to be read before ``reading`` or ``changing`` is left."""
        return self._tx.execute(sql, parameters)

    def changed(self, cursor: sqlite3.Cursor) -> int | None:
        """How many rows of ``jobs`` the statement of ``cursor`` has changed; None for one that only reads.

        Its rows must have been read; no other statement has run since.
        """
        before, self._total_changes = self._total_changes, cursor.connection.total_changes
        if before == self._total_changes:
            return None if cursor.description else 0
        # The total counts what triggers do; this does not (https://www.sqlite.org/lang_corefunc.html#changes).
        return int(self._tx.execute("SELECT changes()").fetchone()[0])

    def authorize(
        self, action: int, first: str | None, second: str | None, database: str | None, trigger: str | None
    ) -> int:
        """What SQLite asks about each action of a statement: allow it, or deny the statement."""
        # A trigger is one of the schema's or of this module: nobody can make another here.
        if action in _READING or (trigger is not None and action in _CHANGING):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in _FORBIDDEN_FUNCTIONS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA and _only_tells(first or "", second):
            return sqlite3.SQLITE_OK
        if action in _CHANGING and (first or "").lower() == _TABLE and database == "main":
            if action == sqlite3.SQLITE_UPDATE and (second or "").lower() in _FIXED_COLUMNS:
                self._denied = self._denied or "a change of a jid"
            elif self._may_change:
                return sqlite3.SQLITE_OK
            else:
                self._would_change = True
                return sqlite3.SQLITE_DENY
        self._denied = self._denied or _in_words(action, first, second)
        return sqlite3.SQLITE_DENY

    def watch(self) -> int:
        """What SQLite calls every so many steps: keep the holder's record fresh, or end the statement."""
        try:
            self._tx.beat()
        except (OSError, RqError) as error:
            self._failure = error
        if boottime() > self._deadline:
            self._failure = UsageError(
                f"it takes longer than {LONGEST_SECONDS:g} s, and the queue is locked meanwhile: nothing was "
                "changed; ask for less, or ask a snapshot"
            )
        elif _memory() > self._most_memory:
            self._failure = UsageError(f"it takes more than {_MOST_MEMORY >> 20} MiB of memory: ask for less")
        elif signal.sigpending() & {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}:
            self._failure = UsageError("interrupted: nothing was changed")
        return int(self._failure is not None)

    def verdict(self, error: Exception) -> Exception:
        """What to raise for ``error``: one line where the user's text is at fault, else ``error`` itself."""
        if self._failure is not None:
            return self._failure
        if self._denied is not None:
            return UsageError(
                f"the SQL asks for {self._denied}: it may read and, in execute, change rows of {_TABLE}"
            )
        if self._would_change:
            return ChangesRowsError()
        code: int | None = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF not in _USERS_FAULT:
            return error
        message = " ".join(str(error).split())[:_LONGEST_MESSAGE]
        if message.startswith("no such column"):
            message += " (a text needs single quotes; the fields are those of a listing)"
        return UsageError(f"the SQL is wrong: {message}")


def _only_tells(pragma: str, argument: str | None) -> bool:
    """Whether a pragma changes nothing."""
    name = pragma.lower()
    return name in _TELLING or (name in _TELLING_ALONE and argument is None)


def _in_words(action: int, first: str | None, second: str | None) -> str:
    """What was denied, for a message."""
    names = {
        sqlite3.SQLITE_ATTACH: "ATTACH",
        sqlite3.SQLITE_DETACH: "DETACH",
        sqlite3.SQLITE_PRAGMA: f"PRAGMA {first}",
        sqlite3.SQLITE_FUNCTION: f"the function {second}",
        sqlite3.SQLITE_TRANSACTION: str(first),
        sqlite3.SQLITE_SAVEPOINT: "SAVEPOINT",
    }
    if action in _CHANGING and first and not first.lower().startswith("sqlite_"):
        return f"a change of the table {first}"
    return names.get(action, "a change of the schema")


def changed_rows(tx: Transaction, columns: str) -> Iterator[tuple[object, ...]]:
    """``columns`` of the rows that were changed in ``changing``. Raises UsageError for what is no UTF-8."""
    connection = tx.execute("SELECT 1").connection
    connection.text_factory = _strict_text
    try:
        yield from tx.execute(f"SELECT {columns} FROM jobs WHERE jid IN (SELECT jid FROM changed)")  # noqa: S608
    finally:
        connection.text_factory = str


def _strict_text(value: bytes) -> str:
    """A text of the database. Raises UsageError where it is no UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{value[:20]!r} is not valid UTF-8, nothing was changed") from None


def _text(value: bytes) -> str:
    """A text of the database; what is no UTF-8 in it becomes U+FFFD."""
    return value.decode("utf-8", "replace")


def _memory() -> int:
    """Bytes of memory that this process has: the second number of statm, in pages (proc(5))."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE


_PAGE = os.sysconf("SC_PAGE_SIZE")
