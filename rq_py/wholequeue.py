"""A queue as a whole: opening it, its settings, copies and rotation, its lock, its repair."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rq_py import settings as settings_file
from rq_py.errors import NotAQueue, StorageError
from rq_py.locking.owner import node_name
from rq_py.queuedir import QueueDir, local_state_path
from rq_py.store.files import file_errors
from rq_py.store.transaction import Store

if TYPE_CHECKING:
    from rq_py.rotation import Rotated
    from rq_py.settings import Settings


class WholeQueue:
    """The half of ``Queue`` that is about all of it: opening it, and what is not about some of its jobs."""

    def __init__(self, path: str | os.PathLike[str], *, timeout: float | None = None) -> None:
        """Open the queue at ``path``. Raises NotAQueue, FormatTooNew, StorageError."""
        given = Path(os.path.abspath(path))
        with file_errors(given):
            exists = given.exists()
        if not exists:
            raise NotAQueue(f"{given}: no such directory, make a queue with: rqpy {path} create")
        self.dir = QueueDir(given)
        self.settings = settings_file.read(self.dir.settings)
        self.store = Store(self.dir, self.settings, timeout=timeout)

    @property
    def path(self) -> Path:
        """The directory, as an absolute path on this node."""
        return self.dir.path

    @property
    def local_state(self) -> Path:
        """Where this user's feeder and runner on this node keep their state."""
        return local_state_path(os.getuid(), node_name(), self.settings.uuid)

    def configure(self, texts: Mapping[str, str]) -> Settings:
        """Change settings, given as texts, and return all of them. Raises UsageError."""
        from rq_py.configuration import configure

        self.settings = configure(self.store, texts)
        return self.settings

    def snapshot(self, path: str | os.PathLike[str]) -> Self:
        """Copy the jobs, not their streams, to ``path``, to be read as a queue; replaces a snapshot there."""
        from rq_py.copying import snapshot

        return self._opened(snapshot(self.store, Path(os.path.abspath(path))), self.store.timeout)

    def backup(self, path: str | os.PathLike[str]) -> Self:
        """Copy the whole queue, streams and data too, to ``path``, where it is a queue of its own.

        A job that runs now is dead there, with the reason ``backup``, or pending where it is restartable.
        Raises QueueExists.
        """
        from rq_py.copying import backup

        return self._opened(backup(self.store, Path(os.path.abspath(path))), self.store.timeout)

    def rotate(self, path: str | os.PathLike[str], *, tgz: bool = False) -> Rotated:
        """Move the jobs that have ended, with their streams and data, to a rotation at ``path``.

        With ``tgz`` that is packed into ``path.tgz``. After a kill, rotating to the same path completes it.
        Raises QueueExists.
        """
        from rq_py.rotation import rotate

        return rotate(self.store, Path(os.path.abspath(path)), tgz=tgz)

    def hold(self, *, writing: bool) -> AbstractContextManager[None]:
        """Hold the queue lock as long as a ``with`` block takes, which must not use the queue itself.

        Leaving the block raises StorageError when the lock was lost, because this process was stopped.
        """
        return self.store.hold(writing=writing)

    def recover(self, *, break_lock: bool = False, upgrade: bool = False) -> dict[str, object]:
        """Check the database and repair it by a new generation where needed; returns what was found and done.

        ``break_lock`` makes a new generation at once: for an operator who knows that the holder is gone.
        ``upgrade`` brings the schema of an old queue up to date first, as ``upgrade`` does.
        """
        from rq_py.repair import recover

        return recover(self.store, break_lock=break_lock, upgrade=upgrade)

    def upgrade(self) -> list[int]:
        """Bring the schema of an old queue up to date; returns the versions applied.

        Older rqpys on other nodes refuse the queue afterwards. Raises FormatTooNew.
        """
        return self.store.upgrade()

    def tidy(self) -> list[Path]:
        """Remove what killed processes left: files of deleted jobs, and, returned, what is a day old."""
        from rq_py import removal, staging

        removal.remove_noted(self.store)
        return [*self.store.generations.prune(), *staging.prune(self.dir)]

    @classmethod
    def _opened(cls, place: Path, timeout: float | None = None) -> Self:
        """The queue, or copy of one, that was just made at ``place``. Raises StorageError."""
        for _ in range(100):
            try:
                return cls(place, timeout=timeout)
            except NotAQueue:
                time.sleep(0.01)  # another snapshot is being put in its place at this very moment
            except StorageError as error:
                raise StorageError(f"{place}: is there, but cannot be opened: {error}") from error
        return cls(place, timeout=timeout)
