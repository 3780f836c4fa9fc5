"""What state a queue is in: its generation, its database's files, the lock's holder, what was left behind."""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from rq_py.doctor.finding import Finding, advice, ok, unsafe
from rq_py.locking.queuelock import BEAT_EVERY
from rq_py.locking.record import Record
from rq_py.queuedir import Generation, QueueDir
from rq_py.settings import Settings
from rq_py.store.files import read_fresh
from rq_py.store.generation import Generations, is_frozen
from rq_py.store.mutex import mutex_of

#: Seconds that a thread of this process may have the queue before it is not looked at.
_MUTEX_TIMEOUT = 30.0
#: struct flock of fcntl(2): type, whence, start, length, pid.
_FLOCK = "hhqqi"
#: Where the header of a database says how it is written, and what it says for WAL
#: (https://www.sqlite.org/fileformat2.html#file_format_version_numbers).
_WRITE_VERSION, _WAL = 18, b"\2"


def facts(directory: QueueDir, settings: Settings) -> dict[str, object]:
    """Identity, settings that matter here, and how many feeders have a lease. Raises OSError."""
    queue: dict[str, object] = {"uuid": settings.uuid, "kind": settings.kind, "access": settings.access}
    if settings.group:
        queue["group"] = settings.group
    queue |= {"lock_lease": settings.lock_lease, "node_lease": settings.node_lease}
    queue["feeders"] = len(os.listdir(directory.feeders)) if directory.feeders.is_dir() else 0
    return queue


def findings(directory: QueueDir, settings: Settings) -> Iterator[Finding]:
    """What there is to say of the queue. Raises OSError, LockTimeout."""
    numbers = Generations(directory, settings).numbers()
    if not numbers:
        yield unsafe("generation", f"{directory.path} has no database", "restore it from a backup")
        return
    generation = directory.generation(numbers[-1])
    yield _generation(directory, numbers)
    # Closing a file of the database would drop the locks that a thread of this process has on it.
    with mutex_of(directory.path).held(_MUTEX_TIMEOUT):
        yield _database(generation)
    yield _holder(directory, generation, settings)
    yield _left_behind(directory)


def _generation(directory: QueueDir, numbers: list[int]) -> Finding:
    """Whether the newest generation is the current one."""
    check, newest = "generation", numbers[-1]
    if is_frozen(directory.generation(newest)):
        return advice(
            check,
            f"db.{newest} is frozen and its successor was never finished: the next command makes it",
            "nothing; or at once, with rqpy QUEUE recover",
        )
    older = f", and {len(numbers) - 1} older: a feeder removes them after a day" if len(numbers) > 1 else ""
    return ok(check, f"db.{newest} is current{older}")


def _database(generation: Generation) -> Finding:
    """Whether a foreign program has left the database in another journal mode. Raises OSError."""
    check = "database"
    try:
        header = read_fresh(generation.database)
    except FileNotFoundError:
        return unsafe(check, f"{generation.database} is missing", "restore it from a backup")
    if header[_WRITE_VERSION : _WRITE_VERSION + 1] == _WAL:
        return unsafe(
            check,
            f"{generation.database} was switched to WAL, which does not work on NFS",
            f"stop all feeders, then: sqlite3 {generation.database} 'pragma journal_mode=persist'",
        )
    try:
        has_journal = generation.journal.stat().st_size > 0
    except FileNotFoundError:
        has_journal = False
    if not has_journal:
        return advice(
            check,
            f"{generation.journal} is not there: a program other than rqpy has written the database; the "
            "next command of rqpy makes it anew",
            "open the database with sqlite3 -readonly only, or use rqpy QUEUE execute",
        )
    return ok(check, "database and journal are in place; whether it is whole says: rqpy QUEUE recover")


def _holder(directory: QueueDir, generation: Generation, settings: Settings) -> Finding:
    """Who has the queue lock now; one that does not let go is looked at twice. Raises OSError."""
    check = "lock"
    before = _look(directory, generation)
    if before is None:
        return ok(check, "nobody holds the queue lock at this moment")
    time.sleep(2 * BEAT_EVERY)
    after = _look(directory, generation)
    record = Record.decode(before)
    who = f"{record.owner}, {record.phase}" if record else "somebody"
    if after != before:
        return ok(check, f"the queue lock changes hands: {who}")
    return advice(
        check,
        f"{who}, holds the queue lock and shows no sign of life",
        f"wait: after lock_lease ({settings.lock_lease:.3g} s) the others go on without it; or, if you know "
        "that it is gone, rqpy QUEUE recover --break",
    )


def _look(directory: QueueDir, generation: Generation) -> bytes | None:
    """The holder's record; None where nobody holds the lock. Takes no lock. Raises OSError."""
    with mutex_of(directory.path).held(_MUTEX_TIMEOUT):
        descriptor = os.open(generation.lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)
            if struct.unpack(_FLOCK, answer)[0] == fcntl.F_UNLCK:
                return None
            return os.read(descriptor, 4096)
        finally:
            os.close(descriptor)


def _left_behind(directory: QueueDir) -> Finding:
    """Count what killed processes and NFS have left in the queue. Raises OSError."""
    folders = [directory.path, *directory.folders, *directory.path.glob("db.*")]
    silly = unfinished = 0
    for folder in filter(Path.is_dir, folders):
        for name in os.listdir(folder):
            silly += name.startswith(".nfs")
            unfinished += name.startswith("db.tmp.")
    if not silly and not unfinished:
        return ok("left_behind", "no .nfs* file, no unfinished generation")
    return advice(
        "left_behind",
        f"{silly} .nfs* files, {unfinished} unfinished generations",
        ".nfs* files are deleted ones that a process still has open (fuser, lsof); where none has, remove "
        "them. Unfinished generations go when a feeder starts, a day later",
    )
