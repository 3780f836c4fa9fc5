"""Sends one word to this node's feeder: ``wake`` after a submit, and what ``control`` asks for. Nothing else.

A word is one datagram to ``<local state>/feeder.sock``. Only the standard library, and few modules of it,
because every submit loads this.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

SOCKET_NAME = "feeder.sock"
WAKE = b"wake"


def wake(state_dir: Path) -> bool:
    """Wake the feeder of the node-local state ``state_dir``; False when nobody listens, never an OSError."""
    return send(state_dir, WAKE)


def send(state_dir: Path, word: bytes) -> bool:
    """Send ``word`` to the feeder of ``state_dir`` without ever blocking; False when nobody listens.

    The socket is reached through the directory's descriptor: a socket's path is limited to 108 bytes
    (unix(7)), and a directory that is not this user's own is not talked into.
    """
    try:
        directory = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    import socket  # only now: most submits find no feeder of theirs here, and it costs them 2 ms

    try:
        info = os.fstat(directory)
        if info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) & 0o077:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(word, socket.MSG_DONTWAIT, f"/proc/self/fd/{directory}/{SOCKET_NAME}")
    except OSError as error:
        # A full queue of datagrams means that the feeder has more than one wake-up to read already.
        return word == WAKE and error.errno in {errno.EAGAIN, errno.ENOBUFS}
    else:
        return True
    finally:
        os.close(directory)
