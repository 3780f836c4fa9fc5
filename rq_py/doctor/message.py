"""What one doctor says to another: a small file that its owner writes in place and the other opens anew."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rq_py.formats import flat

#: Who speaks another protocol is not answered.
PROTOCOL = 1
#: Bytes of a message on disk, one block: it never changes its size.
SIZE = 512


@dataclass(frozen=True, slots=True)
class Message:
    """One message. ``turn`` is 0 until two have found each other; ``wall`` is the speaker's clock (s)."""

    token: str
    node: str
    boot: str
    version: str
    partner: str = ""
    turn: int = 0
    beat: int = 0
    wall: float = 0.0
    words: str = ""

    def encode(self) -> bytes:
        """The text, padded with newlines: a small YAML document."""
        values = {"protocol": PROTOCOL, **asdict(self), "wall": f"{self.wall:.6f}"}
        return flat.emit(values).encode().ljust(SIZE, b"\n")

    @classmethod
    def decode(cls, data: bytes) -> Message | None:
        """Read a message; None for one that is torn, foreign or of another protocol."""
        values = flat.parse(data.decode("utf-8", "replace"))
        if not values or values.pop("protocol", "") != str(PROTOCOL):
            return None
        try:
            turn, beat, wall = int(values.pop("turn")), int(values.pop("beat")), float(values.pop("wall"))
            return cls(turn=turn, beat=beat, wall=wall, **values)
        except (KeyError, TypeError, ValueError):
            return None


def write(path: Path, content: bytes) -> None:
    """Write over a file in place, and wait until the server has it. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.pwrite(descriptor, content, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes:
    """Read a file through an open of its own, which asks the server (nfs(5)). Raises OSError."""
    # What another user made there could be a pipe, which must not be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return os.read(descriptor, SIZE) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    finally:
        os.close(descriptor)


def now() -> float:
    """This machine's clock, seconds since the epoch."""
    return time.time()
