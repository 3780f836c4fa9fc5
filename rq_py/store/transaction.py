"""One transaction: lock -> generation -> open -> BEGIN IMMEDIATE -> work -> COMMIT -> check -> unlock.

Each has a fresh connection, under the queue lock. Nothing slow may happen inside: no printing, no
YAML, no fork, no waiting for input, the runner or a pager.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import partial

from rq_py.errors import Busy, OutcomeUnknown, StorageError
from rq_py.locking import queuelock
from rq_py.locking.looks import Watch
from rq_py.locking.mounts import Fence, mount_of
from rq_py.locking.owner import Owner
from rq_py.locking.queuelock import HeldLock, HolderStuck, Superseded
from rq_py.locking.record import Phase
from rq_py.queuedir import Generation, QueueDir
from rq_py.runner.identity import boottime
from rq_py.settings import QUEUE, Settings
from rq_py.store import asides, journal
from rq_py.store.database import check_version, connect, is_busy, storage_errors
from rq_py.store.files import file_errors
from rq_py.store.generation import Generations, check_acknowledged, is_frozen
from rq_py.store.journal import JournalLock
from rq_py.store.mutex import mutex_of
from rq_py.store.opened import Transaction
from rq_py.store.signals import signals_waiting
from rq_py.store.trace import show_statements

__all__ = ["Store", "Transaction"]

#: Changed rows from which on a COMMIT may take longer than others should wait without a sign of life.
_MANY_CHANGES = 10_000
#: Seconds to wait when a program other than rqpy holds the database.
_BUSY_PAUSE = 0.1
_FOREIGN_HOLDER = "a program other than rqpy held the database"


def _tell_user(line: str) -> None:
    """Say it on stderr."""
    sys.stderr.write(f"rqpy: {line}\n")


class Store:
    """The transactions of one queue. ``timeout`` is seconds to wait for the lock, None for ever."""

    def __init__(self, directory: QueueDir, settings: Settings, *, timeout: float | None = None) -> None:
        self.notify: Callable[[str], None] = _tell_user  #: what is told of rare events, one line each
        self.directory = directory
        self.settings = settings
        self.timeout = timeout
        self.lock_wait = 0.0  #: seconds that were spent waiting for the lock so far
        self.generations = Generations(directory, settings)
        self.may_write = os.access(directory.path, os.W_OK)
        self._seen: Generation | None = None  # the generation of the last transaction
        self._watch: Watch | None = None  # on the holder of a lock that was not had yet
        mount = mount_of(directory.path)
        self._fence = mount.fence
        # Another node sees a record only when the server has it; on this node the page cache is enough.
        self._is_shared = not mount.is_local
        self._mutex = mutex_of(directory.path)

    @contextmanager
    def write(self, *, timeout: float | None = None) -> Iterator[Transaction]:
        """A transaction that may change rows; leaving the block commits, an exception rolls back.

        ``timeout`` (seconds) overrides the store's. Raises LockTimeout, StorageError, and
        OutcomeUnknown when the COMMIT may or may not have happened: never repeat the work then, ask
        the database by token in a new transaction.
        """
        self.check_writable()
        with self._session(True, timeout) as transaction:
            yield transaction

    def check_writable(self) -> None:
        """Raise StorageError where this process cannot write, or where nobody should: it is a copy."""
        path, kind = self.directory.path, self.settings.kind
        if kind != QUEUE:
            raise StorageError(f"{path}: is a {kind} of a queue and can only be read: name the queue itself")
        if not self.may_write:
            raise StorageError(f"{path}: no permission to write: ask the queue's owner")

    @contextmanager
    def amend(self) -> Iterator[Transaction]:
        """A transaction that changes a copy, for its maker alone. Raises as ``write`` does."""
        with self._session(True, None) as transaction:
            yield transaction

    @contextmanager
    def read(self, *, timeout: float | None = None) -> Iterator[Transaction]:
        """A transaction that only reads; take the rows, leave the block, then format them."""
        with self._session(False, timeout) as transaction:
            yield transaction

    def upgrade(self) -> list[int]:
        """Bring an old schema up to date in one transaction; returns the versions that were applied.

        Never done unasked: older rqpys on other nodes refuse the queue afterwards. Raises FormatTooNew,
        StorageError.
        """
        from rq_py.store import migrate

        with self._session(True, None, may_be_old=True) as transaction, transaction.beating():
            return migrate.upgrade(transaction.execute)

    def mark(self) -> object:
        """A value that differs after every commit: the idle poll, without lock and transaction.

        The journal is opened because a bare stat may come from the client's cache; closing the
        *database* instead would drop this process's locks on it. Raises StorageError.
        """
        # The mutex, because closing the journal drops the lock that another thread's transaction has on it.
        with self._mutex.held(self.timeout), file_errors(self.directory.path):
            # A new generation is noticed by the next full transaction, within the feeder's 30 s.
            generation = self._seen or self.generations.current()
            descriptor = os.open(generation.journal, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                status = os.fstat(descriptor)
            finally:
                os.close(descriptor)
        # Not the ctime: under root SQLite calls fchown(2) on the journal whenever it looks at it.
        return generation.number, status.st_ino, status.st_mtime_ns, status.st_size

    @contextmanager
    def hold(self, *, writing: bool) -> Iterator[None]:
        """Hold the queue lock without a transaction, as long as the block takes; the database is closed.

        What a dead writer left half done is rolled back first, so the files of the database are whole.
        Raises LockTimeout, and StorageError after the block where the lock was lost meanwhile.
        """
        if writing:
            self.check_writable()
        begun = self._begun(self.timeout, nullcontext, writing=writing, may_be_old=True)
        with begun as (connection, lock, generation):
            connection.close()
            with lock.beating():
                yield
            with file_errors(generation.frozen):
                if is_frozen(generation):
                    raise StorageError(f"{generation.path}: the lock was lost meanwhile, and others went on")

    @contextmanager
    def _session(
        self, writing: bool, timeout: float | None, *, may_be_old: bool = False
    ) -> Iterator[Transaction]:
        """Lock and begin; then work and commit once."""
        begun = self._begun(timeout, signals_waiting, writing=writing, may_be_old=may_be_old)
        with begun as (connection, lock, generation):
            yield from self._work(connection, lock, generation)
            if writing:
                # Closed first: the server must have everything when it is asked.
                connection.close()
                check_acknowledged(generation)
            self._seen = generation

    @contextmanager
    def _begun(
        self,
        timeout: float | None,
        locked: Callable[[], AbstractContextManager[None]],
        *,
        writing: bool,
        may_be_old: bool,
    ) -> Iterator[tuple[sqlite3.Connection, HeldLock, Generation]]:
        """Lock and begin, as often as generations change under us; ``locked`` is entered with the lock."""
        timeout = self.timeout if timeout is None else timeout
        deadline = None if timeout is None else boottime() + timeout
        busy_since: float | None = None
        with self._mutex.held(timeout):
            while True:
                generation, lock = self._lock(deadline)
                with locked(), closing(lock):
                    try:
                        connection, journal_lock = self._begin(
                            generation, lock, writing=writing, may_be_old=may_be_old
                        )
                    except Superseded:
                        continue
                    except (Busy, HolderStuck) as refusal:
                        refused: Exception = refusal
                    else:
                        try:
                            yield connection, lock, generation
                        finally:
                            connection.close()
                            if journal_lock is not None:
                                journal_lock.close()
                        return
                busy_since = self._after_refusal(refused, generation, busy_since, deadline)

    def _work(
        self, connection: sqlite3.Connection, lock: HeldLock, generation: Generation
    ) -> Iterator[Transaction]:
        """Hand the transaction out, then commit; roll back when the work failed."""
        with storage_errors(generation.database):
            try:
                yield Transaction(connection, lock, generation)
            except BaseException:
                _roll_back(connection)
                raise
            self._commit(connection, generation, lock)

    def _lock(self, deadline: float | None) -> tuple[Generation, HeldLock]:
        """Take the lock of the current generation, making a new one when the holder is stuck."""
        owner = Owner.of_this_process()
        while True:
            generation = self.generations.current()
            try:
                with file_errors(generation.lock):
                    lock = queuelock.acquire(
                        generation.lock,
                        owner,
                        may_write=self.may_write,
                        durable=self._is_shared,
                        lock_lease=self.settings.lock_lease,
                        timeout=None if deadline is None else max(deadline - boottime(), 0.0),
                        is_superseded=partial(is_frozen, generation),
                        watch=self._watch_of(generation),
                    )
            except Superseded:
                continue
            except HolderStuck:
                self._supersede(generation, "the holder of its lock was stuck")
                continue
            self._watch = None
            self.lock_wait += lock.waited
            return generation, lock

    def _watch_of(self, generation: Generation) -> Watch:
        """The watch on the lock's holder, which goes on from one timed-out try to the next."""
        if self._watch is None or self._watch.path != generation.lock:
            self._watch = Watch(generation.lock)
        return self._watch

    def _begin(
        self, generation: Generation, lock: HeldLock, *, writing: bool, may_be_old: bool
    ) -> tuple[sqlite3.Connection, JournalLock | None]:
        """Under the lock: check the generation, name the holder, open, begin, lock the journal.

        Raises Superseded, HolderStuck (who was here before may still write), Busy, StorageError.
        """
        with file_errors(generation.path):
            if is_frozen(generation):
                raise Superseded
            before = lock.read_record()
            if before is not None and before.may_still_write(self._fence):
                raise HolderStuck
            is_hot = journal.revalidate(generation, may_write=self.may_write, mode=self.settings.file_mode)
            if is_hot and not self.may_write:
                raise StorageError(
                    f"{generation.journal}: a writer died here and only one who may write can tidy up: "
                    "try again when a feeder runs, or ask the queue's owner"
                )
            # Opening a hot journal rolls it back, and what lies aside is put back: even a reader writes then.
            is_tidy = before is not None and before.phase not in {Phase.WRITING, Phase.ROLLING_BACK}
            lock.is_tidy = is_tidy or self._fence is Fence.NOBODY  # else it would cost a generation there
            phase = Phase.WRITING if writing or not is_tidy else Phase.READING
            lock.write_record(Phase.ROLLING_BACK if is_hot else phase, durable=is_hot)
        with storage_errors(generation.database):
            connection = connect(generation.database, may_write=self.may_write)
            journal_lock: JournalLock | None = None
            try:
                show_statements(connection, self.notify)
                connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
                check_version(connection, self.directory.path, may_be_old=may_be_old)
                if self.may_write and not is_tidy:
                    with lock.beating(), file_errors(self.directory.path):
                        asides.put_back(connection, self.directory)
                    lock.is_tidy = True
                if writing:
                    journal_lock = JournalLock(generation)
                if writing or is_hot:
                    # Only now: were our locks lost before the one on the journal was had, this is refused.
                    with file_errors(generation.lock):
                        lock.write_record(phase, durable=phase is Phase.WRITING)
            except BaseException:
                connection.close()
                if journal_lock is not None:
                    journal_lock.close()
                raise
            return connection, journal_lock

    def _commit(self, connection: sqlite3.Connection, generation: Generation, lock: HeldLock) -> None:
        """COMMIT, waiting for a program other than rqpy that reads. Raises Busy, OutcomeUnknown.

        After Busy nothing is committed, and the next transaction has a generation without that program.
        """
        begun = boottime()
        is_said = False
        is_large = connection.total_changes > _MANY_CHANGES
        while True:
            try:
                with lock.beating() if is_large else nullcontext():
                    connection.execute("COMMIT")
            except sqlite3.Error as error:
                if not is_busy(error):
                    lock.is_tidy = self._fence is Fence.NOBODY
                    raise OutcomeUnknown(f"{generation.database}: COMMIT failed: {error}") from error
                if boottime() - begun > self.settings.lock_lease:
                    _roll_back(connection)
                    self._supersede(generation, _FOREIGN_HOLDER)
                    raise  # storage_errors makes it Busy
                if not is_said:
                    self.notify(f"{generation.database}: another program reads it: waiting to commit")
                    is_said = True
                lock.beat()
                time.sleep(_BUSY_PAUSE)
            else:
                return

    def _after_refusal(
        self, refusal: Exception, generation: Generation, busy_since: float | None, deadline: float | None
    ) -> float | None:
        """After a transaction could not begin: make a new generation or wait. Returns busy since when."""
        if isinstance(refusal, HolderStuck):
            self._supersede(generation, "its last writer vanished, and may have a write on its way")
            return None
        now = boottime()
        if busy_since is not None and now - busy_since >= self.settings.lock_lease:
            self._supersede(generation, _FOREIGN_HOLDER)
            return None
        if deadline is not None and now >= deadline:
            raise refusal
        if busy_since is None:
            self.notify(f"{refusal}; waiting")
            busy_since = now
        time.sleep(_BUSY_PAUSE)
        return busy_since

    def _supersede(self, generation: Generation, why: str) -> None:
        """Make the next generation, or say why this process cannot."""
        if not self.may_write:
            raise StorageError(f"{generation.path}: {why}: somebody who may write must use the queue first")
        self.notify(f"{generation.path}: {why}: making a new generation")
        self.generations.supersede(generation, why)


def _roll_back(connection: sqlite3.Connection) -> None:
    """Roll back what is open; an error here changes nothing, as nothing was committed."""
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
