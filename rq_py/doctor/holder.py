"""Tries fcntl locks; run as a program, it does so as another process, told by lines on its stdin.

``python holder.py FILE`` answers each ``KIND START LENGTH`` by a line: what ``attempt`` returns. It ends
with its stdin. The standard library only, so that it can be run by its path and starts at once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sys

GRANTED, REFUSED = "granted", "refused"

EXCLUSIVE, SHARED, NONE = "exclusive", "shared", "none"
_OPERATIONS = {EXCLUSIVE: fcntl.LOCK_EX, SHARED: fcntl.LOCK_SH, NONE: fcntl.LOCK_UN}


def attempt(descriptor: int, kind: str, start: int = 0, length: int = 0) -> str:
    """Take or drop the lock of ``length`` bytes (0: all from ``start`` on), without waiting.

    Returns GRANTED, REFUSED where another process holds it, or ``errno-N``.
    """
    operation = _OPERATIONS[kind]
    try:
        fcntl.lockf(descriptor, operation | (0 if kind == NONE else fcntl.LOCK_NB), length, start)
    except OSError as error:
        return REFUSED if error.errno in (errno.EACCES, errno.EAGAIN) else f"errno-{error.errno}"
    return GRANTED


def said(answer: str) -> str:
    """An answer of ``attempt`` in words."""
    number = answer.removeprefix("errno-")
    return os.strerror(int(number)) if re.fullmatch(r"[0-9]{1,4}", number) else answer


def main() -> None:
    """Answer until there are no more questions."""
    descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    for line in sys.stdin:
        kind, start, length = line.split()
        print(attempt(descriptor, kind, int(start), int(length)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
