"""The system calls that touch files, locks, sockets or processes: their numbers, and what each is about."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: AT_FDCWD of fcntl.h as it arrives in a register.
_AT_FDCWD = (1 << 64) - 100
#: The commands of fcntl(2) that lock: F_SETLK, F_SETLKW and their OFD kin.
_LOCK_COMMANDS = frozenset({6, 7, 37, 38})
#: The path of a process's own descriptor, by which a socket in a deep directory is reached.
_OWN_DESCRIPTOR = re.compile(r"/proc/(?:self|[0-9]+)/fd/([0-9]+)(.*)")

# Name, number on x86_64, where its file is among the arguments, and what it does. Where: fd is a descriptor,
# the first; f2 the same, the third; p0 or p1 a path; a0, a1 or a2 a directory's descriptor with a path behind
# it; - none. What: c may create, w writes, s syncs, x changes something else, l may lock, p is about
# processes or sockets, and r only looks.
_TABLE = """
    read 0 fd r; write 1 fd w; open 2 p0 c; close 3 fd x; stat 4 p0 r; fstat 5 fd r; lstat 6 p0 r; lseek
    8 fd r; pread64 17 fd r; pwrite64 18 fd w; readv 19 fd r; writev 20 fd w; access 21 p0 r; pipe 22 -
    p; dup 32 - p; dup2 33 - p; sendfile 40 fd w; socket 41 - p; connect 42 - p; accept 43 - p; sendto
    44 - p; recvfrom 45 - p; sendmsg 46 - p; recvmsg 47 - p; shutdown 48 - p; bind 49 - p; listen 50 -
    p; socketpair 53 - p; clone 56 - p; fork 57 - p; vfork 58 - p; execve 59 - p; wait4 61 - p; kill 62
    - p; fcntl 72 fd l; flock 73 fd l; fsync 74 fd s; fdatasync 75 fd s; truncate 76 p0 w; ftruncate 77
    fd w; getdents 78 fd r; rename 82 p0 c; mkdir 83 p0 c; rmdir 84 p0 x; creat 85 p0 c; link 86 p0 c;
    unlink 87 p0 x; symlink 88 p1 c; readlink 89 p0 r; chmod 90 p0 x; fchmod 91 fd x; chown 92 p0 x;
    fchown 93 fd x; lchown 94 p0 x; utime 132 p0 x; statfs 137 p0 r; fstatfs 138 fd r; getdents64 217 fd
    r; tgkill 234 - p; utimes 235 p0 x; waitid 247 - p; openat 257 a0 c; mkdirat 258 a0 c; fchownat 260
    a0 x; newfstatat 262 a0 r; unlinkat 263 a0 x; renameat 264 a2 c; linkat 265 a2 c; symlinkat 266 a1
    c; readlinkat 267 a0 r; fchmodat 268 a0 x; faccessat 269 a0 r; utimensat 280 a0 x; fallocate 285 fd
    w; accept4 288 - p; dup3 292 - p; pipe2 293 - p; preadv 295 fd r; pwritev 296 fd w; syncfs 306 fd s;
    renameat2 316 a2 c; copy_file_range 326 f2 w; statx 332 a0 r; pidfd_send_signal 424 - p; pidfd_open
    434 - p; clone3 435 - p; openat2 437 a0 c; faccessat2 439 a0 r; fchmodat2 452 a0 x
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A system call: its name, where its file is among its arguments, and what it does."""

    name: str
    where: str
    does: str


KINDS = {
    int(number): Kind(name, where, does)
    for name, number, where, does in (entry.split() for entry in _TABLE.split(";") if entry.strip())
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call that a process is about to make."""

    pid: int
    kind: Kind
    arguments: Sequence[int]

    @property
    def is_lock(self) -> bool:
        """Whether it takes or drops a lock."""
        return self.kind.name == "flock" or (
            self.kind.name == "fcntl" and self.arguments[1] in _LOCK_COMMANDS
        )

    @property
    def counts(self) -> bool:
        """Whether it touches a file, a lock, a socket or a process; fcntl(2) can be about none of them."""
        return self.kind.does != "l" or self.is_lock

    @property
    def creates(self) -> bool:
        """Whether it may make a new name."""
        if self.kind.does != "c":
            return False
        flags = {"open": 1, "openat": 2}.get(self.kind.name)
        return flags is None or bool(self.arguments[flags] & os.O_CREAT)

    @property
    def has_effect(self) -> bool:
        """Whether the file system, a lock, a socket or a process is different after it."""
        return self.is_lock or self.creates or self.kind.does in "wsxp"

    def path(self) -> str:
        """The file that it is about; '' where there is none."""
        where, arguments = self.kind.where, self.arguments
        try:
            if where == "fd":
                return self._descriptor(arguments[0])
            if where == "f2":
                return self._descriptor(arguments[2])
            if where in {"p0", "p1"}:
                return self._joined(_AT_FDCWD, arguments[int(where[1])])
            if where[0] == "a":
                first = int(where[1])
                return self._joined(arguments[first], arguments[first + 1])
        except OSError:
            pass  # no such descriptor, or no such memory: the call will fail by itself
        return ""

    def _descriptor(self, number: int) -> str:
        return os.readlink(f"/proc/{self.pid}/fd/{number & 0xFFFFFFFF}")

    def _joined(self, folder: int, address: int) -> str:
        text = self._text(address)
        if own := _OWN_DESCRIPTOR.fullmatch(text):
            return self._descriptor(int(own[1])) + own[2]
        if text.startswith("/"):
            return text
        at_cwd = (folder | ~0xFFFFFFFF) & ((1 << 64) - 1) == _AT_FDCWD
        base = os.readlink(f"/proc/{self.pid}/cwd") if at_cwd else self._descriptor(folder)
        return os.path.join(base, text) if text else base

    def _text(self, address: int) -> str:
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            # To the end of the page at first: the next one may not be mapped.
            data = memory.read(4096 - address % 4096)
            if b"\0" not in data:
                data += memory.read(4096)
        return os.fsdecode(data.split(b"\0", 1)[0])

    def __str__(self) -> str:
        path = self.path()
        return f"{self.kind.name} {Path(path).name or path}".strip()
