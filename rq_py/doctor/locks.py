"""Whether fcntl locks exclude another process of this machine, by ranges too, and go when it dies."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from rq_py.doctor import holder
from rq_py.doctor.finding import Finding, ok, unsafe
from rq_py.doctor.holder import EXCLUSIVE, GRANTED, NONE, REFUSED, SHARED, attempt

#: Seconds for which an answer of the other process is waited for, and a lock to be let go by a dead one.
PATIENCE = 30.0
_PAUSE = 0.05

_HERE, _THERE = "this process", "another process"
#: Where SQLite locks its database, far behind its end: one byte, and 510 more
#: (https://www.sqlite.org/fileformat2.html#the_lock_byte_page).
_PENDING, _SHARED_RANGE = (0x40000000, 1), (0x40000002, 510)
_WHOLE = (0, 0)

_Step = tuple[str, str, tuple[int, int], str]
_EXCLUSION: tuple[_Step, ...] = (
    (_THERE, EXCLUSIVE, _WHOLE, GRANTED),
    (_HERE, EXCLUSIVE, _WHOLE, REFUSED),
    (_HERE, SHARED, _WHOLE, REFUSED),
    (_THERE, NONE, _WHOLE, GRANTED),
    (_HERE, EXCLUSIVE, _WHOLE, GRANTED),
    (_THERE, EXCLUSIVE, _WHOLE, REFUSED),
    (_HERE, NONE, _WHOLE, GRANTED),
)
_RANGES: tuple[_Step, ...] = (
    (_THERE, EXCLUSIVE, _PENDING, GRANTED),
    (_HERE, EXCLUSIVE, _SHARED_RANGE, GRANTED),
    (_HERE, EXCLUSIVE, _PENDING, REFUSED),
    (_THERE, SHARED, _SHARED_RANGE, REFUSED),
    (_HERE, SHARED, _SHARED_RANGE, GRANTED),
    (_THERE, SHARED, _SHARED_RANGE, GRANTED),
    (_HERE, EXCLUSIVE, _SHARED_RANGE, REFUSED),
    (_HERE, NONE, _SHARED_RANGE, GRANTED),
    (_THERE, NONE, _WHOLE, GRANTED),
)


class Silent(Exception):
    """The other process did not answer."""


class Other:
    """Another process that has ``path`` open. Its end is waited for by ``kill``, or by leaving the block."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", holder.__file__, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )

    def attempt(self, kind: str, start: int = 0, length: int = 0) -> str:
        """What ``holder.attempt`` returns there. Raises Silent."""
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        try:
            self._process.stdin.write(f"{kind} {start} {length}\n".encode())
        except BrokenPipeError:
            raise Silent from None
        # An answer is shorter than a pipe's buffer, and written at once.
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        answer = os.read(self._process.stdout.fileno(), 100) if ready else b""
        if not answer:
            raise Silent
        return answer.decode().strip()

    def kill(self) -> None:
        """End it as a power cut would; returns when it is gone."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()


def findings(path: Path) -> Iterator[Finding]:
    """Try the locks of the file at ``path``, which this process must not have open. Raises OSError."""
    with Other(path) as other, _opened(path) as descriptor:
        try:
            yield _play("locks", _EXCLUSION, descriptor, other, "a lock keeps another process out")
            yield _play("byte_ranges", _RANGES, descriptor, other, "locks of parts of a file are apart")
            yield _after_death(descriptor, other)
        except Silent:
            yield unsafe(
                "locks",
                f"another process here did not answer within {PATIENCE:.0f} s when it locked a file",
                "see the kernel's log (dmesg); on NFS 3, whether rpcbind and rpc.statd run at both ends",
            )


def _play(check: str, steps: tuple[_Step, ...], descriptor: int, other: Other, fine: str) -> Finding:
    """Take the steps in order, up to the first that does not go as it must."""
    for who, kind, (start, length), expected in steps:
        if who == _HERE:
            answer = attempt(descriptor, kind, start, length)
        else:
            answer = other.attempt(kind, start, length)
        if answer != expected:
            return _wrong(check, who, kind, answer)
    return ok(check, fine)


def _wrong(check: str, who: str, kind: str, answer: str) -> Finding:
    """The finding for a step that went wrong."""
    if answer == GRANTED:
        what = f"{who} got a lock ({kind}) that the other one of the two held: locks exclude nobody here"
        do = "do not use it for a queue; on NFS mount it without nolock and local_lock"
    elif answer == REFUSED:
        what = f"{who} did not get a lock ({kind}) that nobody held"
        do = "do not use it for a queue; see whether the file server's locks work"
    else:
        what = f"{who} cannot lock a file: {holder.said(answer)}"
        do = (
            "on NFS 3 start rpcbind and rpc.statd here and on the server, and open their ports; else use a "
            "file system with fcntl locks"
        )
    return unsafe(check, what, do)


def _after_death(descriptor: int, other: Other) -> Finding:
    """Whether the lock of a killed process becomes free."""
    check = "lock_release"
    answer = other.attempt(EXCLUSIVE)
    if answer != GRANTED:
        return _wrong(check, _THERE, EXCLUSIVE, answer)
    other.kill()
    begun = time.monotonic()
    while (answer := attempt(descriptor, EXCLUSIVE)) == REFUSED and time.monotonic() - begun < PATIENCE:
        time.sleep(_PAUSE)
    if answer == GRANTED:
        return ok(check, "the lock of a killed process is free again")
    if answer != REFUSED:
        return _wrong(check, _HERE, EXCLUSIVE, answer)
    return unsafe(
        check,
        f"the lock of a killed process was still held after {PATIENCE:.0f} s",
        "see the kernel's log (dmesg) and whether the file server's lock service runs",
    )


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The file, open for reading and writing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
