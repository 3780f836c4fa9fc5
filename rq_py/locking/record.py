"""The record of a lock holder or lease owner: a changing text of fixed size, written in place."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import NamedTuple

from rq_py.formats import flat
from rq_py.locking.mounts import Fence
from rq_py.locking.owner import Owner

#: Bytes of a record on disk, one block: it is written in place and never changes its size.
SIZE = 512


class Phase(StrEnum):
    """What the owner is doing."""

    READING = "reading"
    WRITING = "writing"
    ROLLING_BACK = "rolling-back"  # a dead writer's work: SQLite writes the journal, which is not locked yet
    FREE = "free"  # let go in order
    FEEDING = "feeding"  # a feeder's lease on its node


#: What a holder did whose late writes nobody keeps out of the database, by who fences.
_UNFENCED = {
    Fence.KERNEL: frozenset[Phase](),
    Fence.SERVER: frozenset({Phase.ROLLING_BACK}),
    Fence.NOBODY: frozenset({Phase.ROLLING_BACK, Phase.WRITING}),
}


class Record(NamedTuple):
    """Who holds, what for, and a counter that the owner increases while it is alive.

    ``token`` differs from one holding to the next, so that every change of hands changes the text.
    """

    owner: Owner
    phase: Phase
    token: str
    beat: int = 0

    def may_still_write(self, fence: Fence) -> bool:
        """Whether who left this record, and has the lock no more, may have writes on their way unrefused."""
        return self.phase in _UNFENCED[fence] and not self.owner.is_provably_dead()

    def refreshed(self, phase: Phase | None = None) -> Record:
        """The next record of the same holding."""
        return self._replace(beat=self.beat + 1, phase=phase or self.phase)

    def encode(self) -> bytes:
        """The text, padded with newlines to SIZE bytes: a small YAML document."""
        text = flat.emit(
            {**self.owner._asdict(), "phase": self.phase, "token": self.token, "beat": self.beat}
        ).encode()
        if len(text) > SIZE:
            raise ValueError(f"record of {len(text)} bytes")
        return text.ljust(SIZE, b"\n")

    @classmethod
    def decode(cls, data: bytes) -> Record | None:
        """Read a record; None for an empty, torn or foreign one."""
        values = flat.parse(data.decode("utf-8", "replace"))
        if not values:
            return None
        try:
            owner = Owner(
                values["node"], int(values["uid"]), int(values["pid"]), int(values["start"]), values["boot"]
            )
            return cls(owner, Phase(values["phase"]), values["token"], int(values["beat"]))
        except (KeyError, ValueError):
            return None

    def write(self, descriptor: int, *, durable: bool) -> None:
        """Write in place; ``durable`` sends it to the server or the disk before returning.

        On a local file system others see it at once without that.
        """
        os.pwrite(descriptor, self.encode(), 0)
        if durable:
            os.fsync(descriptor)
