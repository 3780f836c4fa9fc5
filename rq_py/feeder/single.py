"""One feeder per queue, node and user: the lock that makes it so, and the note that says who it is.

The lock is ``<local state>/feeder.lock``, an flock(2) on a local disk that the kernel drops with the process.
The note ``feeder.json`` beside it is for people and for ``control``; whether it is true is decided by the
identity of the process in it (pid, start ticks and boot), never by its existence.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import filelock

from rq_py import localstate
from rq_py.errors import FeederRunning, StorageError
from rq_py.feeder.options import FeedOptions
from rq_py.runner import identity

LOCK_NAME = "feeder.lock"
NOTE_NAME = "feeder.json"


@dataclass(frozen=True, slots=True)
class FeederInfo:
    """Who feeds: the process (``start`` in clock ticks since ``boot``), since when (UTC), and with what."""

    pid: int
    start: int
    boot: str
    since: str
    node: str
    uid: int
    queue: str
    slots: int
    version: str
    log: str
    options: str

    @property
    def is_alive(self) -> bool:
        """Whether this very process runs now."""
        return self.boot == identity.boot_id() and identity.is_alive(self.pid, self.start)

    @property
    def feed_options(self) -> FeedOptions:
        """The options that it was started with. Raises UsageError when they cannot be read."""
        return FeedOptions.from_json(self.options)

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.node} since {self.since}"


class Single:
    """Makes the calling process the one feeder of a local state, until ``close``.

    Raises FeederRunning, which says who feeds.
    """

    def __init__(self, state_dir: Path, queue: str) -> None:
        self._state_dir = state_dir
        self._lock = filelock.FileLock(state_dir / LOCK_NAME, mode=0o600, fallback_to_soft=False)
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise FeederRunning(running_line(queue, info(state_dir))) from None
        except OSError as error:
            raise StorageError(f"{state_dir / LOCK_NAME}: cannot be locked: {error.strerror}") from error
        #: The feeder that was killed here, from the note that it could not take away.
        self.killed = _note(state_dir)

    def tell(self, me: FeederInfo) -> None:
        """Write the note: a new file, then a rename, so that nobody reads half of it."""
        note, temporary = self._state_dir / NOTE_NAME, self._state_dir / f".{NOTE_NAME}"
        try:
            temporary.write_text(json.dumps(asdict(me)), encoding="utf-8")
            temporary.replace(note)
        except OSError as error:
            raise StorageError(f"{note}: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Take the note away and let the next feeder in."""
        found = _note(self._state_dir)
        if found is None or found.pid == os.getpid():  # else the directory was removed, and made anew
            (self._state_dir / NOTE_NAME).unlink(missing_ok=True)
        self._lock.release()


def this_process(options: FeedOptions, *, node: str, since: str, version: str, log: str) -> FeederInfo:
    """The note of the calling process."""
    pid = os.getpid()
    return FeederInfo(
        pid=pid,
        start=identity.start_ticks(pid) or 0,
        boot=identity.boot_id(),
        since=since,
        node=node,
        uid=os.getuid(),
        queue=options.queue,
        slots=options.max_feed,
        version=version,
        log=log,
        options=replace(options, background=True).to_json(),
    )


def info(state_dir: Path) -> FeederInfo | None:
    """The feeder that runs on the local state ``state_dir``, or None.

    Raises RqError where somebody else could have written the note.
    """
    localstate.check(state_dir)
    found = _note(state_dir)
    return found if found is not None and found.is_alive else None


def _note(state_dir: Path) -> FeederInfo | None:
    try:
        found = FeederInfo(**json.loads((state_dir / NOTE_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return found if type(found.pid) is type(found.start) is int and found.pid > 0 else None


def running_line(queue: str, who: FeederInfo | None) -> str:
    """The line for the user who starts a second feeder."""
    if who is None:  # it has the lock but has not got round to its note
        return f"{queue}: a feeder of this user is just starting or ending on this node: try again"
    return f"{queue}: is fed already, by pid {who.pid} on {who.node} since {who.since}: see rqpy feeder"
