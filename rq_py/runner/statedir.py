"""The runner's directory: checked before it is used, and reached without ever using its long path."""

from __future__ import annotations

import os
import stat

from rq_py.errors import RunnerError

SOCKET = "runner.sock"
JOURNAL = "runner.journal"
LOCK = "runner.lock"
LOG = "runner.log"


def open_state_dir(path: str | os.PathLike[str]) -> int:
    """Return a descriptor of the directory ``path`` after making sure that nobody else can have touched it.

    It must be a directory itself (no symbolic link), belong to this process's user and have mode 0700:
    everything that the runner believes, its socket's name above all, rests on that.

    Raises:
        RunnerError: it is missing or not such a directory.

    """
    try:
        # A symbolic link gives ENOTDIR here, open(2).
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        why = error.strerror
    else:
        why = _objection(os.fstat(fd))
        if why is None:
            return fd
        os.close(fd)
    raise RunnerError(f"{os.fspath(path)} cannot be the runner's directory: {why}")


def _objection(found: os.stat_result) -> str | None:
    if found.st_uid != os.geteuid():
        return f"it belongs to uid {found.st_uid}, not to uid {os.geteuid()}; remove it"
    if stat.S_IMODE(found.st_mode) != 0o700:
        return f"its mode is {stat.S_IMODE(found.st_mode):04o}, not 0700; chmod or remove it"
    return None


def socket_address(directory: int) -> str:
    """Return an address of the socket in ``directory`` that fits into sun_path's 108 bytes (unix(7))."""
    return f"/proc/self/fd/{directory}/{SOCKET}"
