"""Whether there is room: bytes and inodes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from rq_py.doctor.finding import Finding, advice, ok, unsafe

#: Less than this, bytes or inodes, or less than this part of all, is worth a line.
_FEW_BYTES, _FEW_INODES, _SMALL_PART = 10**9, 10_000, 0.05

#: Bytes that are written to see whether they can be.
_TRIAL_BYTES = 65536

_DO = "make room: rqpy QUEUE rotate or delete, remove other files, or enlarge it"


def facts(path: Path) -> dict[str, object]:
    """Free and total bytes and inodes for users other than root. Raises OSError."""
    found = os.statvfs(path)
    space: dict[str, object] = {
        "free_bytes": found.f_bavail * found.f_frsize,
        "total_bytes": found.f_blocks * found.f_frsize,
    }
    if found.f_files:  # btrfs and others have no fixed number of inodes
        space |= {"free_inodes": found.f_favail, "total_inodes": found.f_files}
    return space


def findings(path: Path, check: str = "space") -> Iterator[Finding]:
    """What there is to say of the room at ``path``. Raises OSError."""
    found = os.statvfs(path)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    yield _finding(check, path, (free, total, _FEW_BYTES), _bytes_text(free))
    if found.f_files:
        free = found.f_favail
        yield _finding("inodes", path, (free, found.f_files, _FEW_INODES), f"{free} inodes")


def trial(folder: Path, path: Path) -> Iterator[Finding]:
    """Write a little in ``folder``: a quota shows in no other way. ``path`` is named. Raises OSError."""
    try:
        with (folder / "room").open("wb") as file:
            file.write(bytes(_TRIAL_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        yield full(path, error.strerror or "no room")


def full(path: Path, reason: str) -> Finding:
    """The finding where something could not be written."""
    return unsafe("space", f"{path}: nothing can be written: {reason}", _DO)


def _finding(check: str, path: Path, counts: tuple[int, int, int], text: str) -> Finding:
    """Judge one resource by what is free, what there is, and what would be few; ``text`` is the first."""
    free, total, few = counts
    if free <= 0:
        return unsafe(check, f"{path}: {text} free: it is full", _DO)
    part = free / max(total, 1)
    if free < few or part < _SMALL_PART:
        return advice(check, f"{path}: only {text} free, {part:.1%} of all", _DO)
    return ok(check, f"{text} free, {part:.0%} of all")


def _bytes_text(count: int) -> str:
    """Bytes for people, in powers of 1000."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
