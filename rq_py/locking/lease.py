"""A feeder's lease on its node: the file that it keeps changing while it feeds."""

from __future__ import annotations

import os
from pathlib import Path

from rq_py.errors import StorageError
from rq_py.locking.owner import Owner
from rq_py.locking.record import Phase, Record


class NodeLease:
    """The lease ``Q/feeders/<node>.<uid>`` of the calling feeder. ``mode`` is the file's mode."""

    def __init__(self, path: Path, owner: Owner, mode: int) -> None:
        self.path = path
        self._mode = mode
        self._record = Record(owner, Phase.FEEDING, os.urandom(8).hex())

    def renew(self) -> bool:
        """Change the record in place and wait until the server has it; False if it had to be made.

        Only a renewal that returned counts. Raises StorageError.
        """
        self._record = self._record.refreshed()
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            was_there = True
            try:
                descriptor = os.open(self.path, flags)
            except FileNotFoundError:
                was_there = False
                descriptor = os.open(self.path, flags | os.O_CREAT, self._mode)
            try:
                if os.fstat(descriptor).st_size == 0:
                    os.fchmod(descriptor, self._mode)
                self._record.write(descriptor, durable=True)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageError(f"{self.path}: the lease cannot be renewed: {error.strerror}") from error
        return was_there

    def remove(self) -> None:
        """Give the lease up: nobody needs to watch this feeder any more. Raises StorageError."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be removed: {error.strerror}") from error
