"""The queue lock: an fcntl lock on ``db.N/lock`` whose content names the holder.

fcntl locks belong to the process and go when it closes *any* descriptor of the file (fcntl(2)). So a
process-wide mutex per queue goes around this lock (store/transaction.py), and nothing may open the lock
file while this process holds it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rq_py.errors import LockTimeout, StorageError
from rq_py.locking.looks import Watch
from rq_py.locking.owner import Owner
from rq_py.locking.record import Phase, Record
from rq_py.runner.identity import boottime

#: Seconds between two tries: from the first to the longest by steps of this factor, jittered. A blocking
#: fcntl lock is not used, because on NFS its waiters sleep up to 30 s and are not served in order.
FIRST_PAUSE, LONGEST_PAUSE, PAUSE_FACTOR = 0.001, 0.05, 1.5
#: Who has waited for this many seconds tries twice as often again, after twice as many three times, up to the
#: shortest pause: so those who wait long are served before those who have just come (docs/decisions/0007).
AGEING, SHORTEST_PAUSE = 0.1, 0.005
#: The same on a shared mount, where each try is a request to the server.
LONGEST_PAUSE_SHARED, SHORTEST_PAUSE_SHARED = 0.1, 0.02
#: Seconds between two looks at the holder's record while waiting.
LOOK_EVERY = 1.0
#: Seconds between two refreshes of the record by a holder that takes long.
BEAT_EVERY = 1.0


class HolderStuck(Exception):
    """The holder's record stayed the same for a whole lease: a new generation is due."""


class Superseded(Exception):
    """Another process made a new generation while this one waited for the lock of the old."""


class HeldLock:
    """The lock while it is held. ``durable`` records reach the server at once (NFS).

    ``waited`` is the seconds that it took to get it. A holder that is not ``is_tidy`` leaves its record as it
    is when it lets go: the next one then looks for what was left half done.
    """

    def __init__(self, descriptor: int, record: Record | None, *, durable: bool, waited: float) -> None:
        self.waited = waited
        self.is_tidy = True
        self._descriptor = descriptor
        self._record = record
        self._durable = durable
        self._is_named = False
        self._beaten = boottime()

    def read_record(self) -> Record | None:
        """The record that the holder before left; obtaining the lock made the cache fresh (nfs(5))."""
        return Record.decode(os.pread(self._descriptor, 4096, 0))

    def write_record(self, phase: Phase, *, durable: bool) -> None:
        """Name this process as the holder. Does nothing for a reader without write permission.

        One that is not to be ``durable`` may wait for the next one, or for the unlock, to be sent.
        """
        if self._record is not None:
            self._record = self._record.refreshed(phase)
            self._is_named = True
            self._record.write(self._descriptor, durable=self._durable and durable)

    def beat(self) -> None:
        """Refresh the record if it is a second old: a holder that takes long must look alive."""
        now = boottime()
        if self._record is not None and now - self._beaten >= BEAT_EVERY:
            self._record = self._record.refreshed()
            self._record.write(self._descriptor, durable=self._durable)
            self._beaten = now

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat from a thread while the block is one long call that cannot do it itself (a large COMMIT).

        It does not make a hung holder look alive: a stopped process stops with its threads, and a beat
        needs the same file server as the call.
        """
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(BEAT_EVERY):
                with suppress(OSError):
                    self.beat()

        thread = threading.Thread(target=beat, name="rqpy-beat", daemon=True)
        # Signals are the caller's: one that the kernel gave to this thread would not wake it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def close(self) -> None:
        """Clear our own record, if all is tidy, and unlock. Never raises: what was committed stays so."""
        try:
            if self._record is not None and self._is_named and self.is_tidy:
                self._record.refreshed(Phase.FREE).write(self._descriptor, durable=False)
        except OSError:
            pass  # the next holder finds our record, and judges by it
        finally:
            # NFS reports here what it could not send; the lock is gone all the same.
            with suppress(OSError):
                os.close(self._descriptor)


def acquire(
    path: Path,
    owner: Owner,
    *,
    may_write: bool,
    durable: bool,
    lock_lease: float,
    timeout: float | None,
    is_superseded: Callable[[], bool],
    watch: Watch,
) -> HeldLock:
    """Take the queue lock at ``path``, exclusively; shared where ``may_write`` is false.

    ``lock_lease`` and ``timeout`` are seconds; a timeout of None waits for ever. ``is_superseded`` is
    asked with every look, whether the lock is still worth waiting for. ``watch`` is of ``path``; a
    caller that times out and comes again within seconds gives the same one, and so goes on counting.
    Raises LockTimeout, HolderStuck when a holder's record did not change for ``lock_lease``, Superseded,
    StorageError when the file system refuses, FileNotFoundError when there is no such file (any more).
    """
    operation = (fcntl.LOCK_EX if may_write else fcntl.LOCK_SH) | fcntl.LOCK_NB
    access = os.O_RDWR if may_write else os.O_RDONLY
    begun = boottime()
    descriptor = os.open(path, access | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        _wait(descriptor, operation, path, lock_lease, timeout, is_superseded, watch, is_shared=durable)
    except BaseException:
        os.close(descriptor)
        raise
    record = Record(owner, Phase.FREE, os.urandom(8).hex()) if may_write else None
    return HeldLock(descriptor, record, durable=durable, waited=boottime() - begun)


def _wait(  # noqa: PLR0917
    descriptor: int,
    operation: int,
    path: Path,
    lock_lease: float,
    timeout: float | None,
    is_superseded: Callable[[], bool],
    watch: Watch,
    *,
    is_shared: bool,
) -> None:
    """Try until the lock is had, looking at the holder's record meanwhile."""
    begun = boottime()
    next_look = begun + LOOK_EVERY
    pause = FIRST_PAUSE
    while True:
        try:
            fcntl.lockf(descriptor, operation)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise StorageError(
                    f"{path}: cannot be locked: {error.strerror}: do locks work on this mount?"
                ) from error
        else:
            return
        now = boottime()
        is_over = timeout is not None and now - begun >= timeout
        if is_over or now >= next_look:
            watch.look()
            next_look = now + LOOK_EVERY
            if is_superseded():
                raise Superseded
            if watch.unchanged_seconds >= lock_lease:
                raise HolderStuck
        if is_over:
            holder = Record.decode(watch.content or b"")
            who = f"held by {holder.owner}" if holder and holder.phase is not Phase.FREE else "held"
            raise LockTimeout(
                f"{path}: {who}, not free within {timeout:.3g} s: try again, or give more --timeout"
            )
        pause = next_pause(pause, now - begun, is_shared=is_shared)
        remaining = begun + timeout - now if timeout is not None else pause
        time.sleep(min(_jittered(pause), max(remaining, 0.0)))


def next_pause(pause: float, waited: float, *, is_shared: bool) -> float:
    """The pause after one of ``pause`` seconds, of somebody who has ``waited`` for so long, before jitter."""
    longest = LONGEST_PAUSE_SHARED if is_shared else LONGEST_PAUSE
    shortest = SHORTEST_PAUSE_SHARED if is_shared else SHORTEST_PAUSE
    return min(pause * PAUSE_FACTOR, max(longest / (1 + waited / AGEING), shortest))


def _jittered(pause: float) -> float:
    """Between half of ``pause`` and all of it; the module random would cost every submit its import."""
    return pause * (0.5 + os.urandom(1)[0] / 510)
