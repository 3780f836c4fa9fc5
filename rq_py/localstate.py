"""Makes, checks and holds the node-local state directory of one user, node and queue. Not what lies in it.

The directory is ``/var/tmp/rqpy-<uid>/<node>-<uuid>`` (``queuedir.local_state_path``). /var/tmp is writable
by everybody, so both levels must be real directories of this user with mode 0700; anything else is refused,
because somebody may have prepared it. While a process uses the state it holds a shared flock(2) on it:
systemd-tmpfiles leaves a locked directory and all below it alone (tmpfiles.d(5), "Age").
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from rq_py.errors import RqError, StorageError

_MODE = 0o700
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def ensure(path: Path) -> Path:
    """Make ``path`` and its parent where they are missing, check both, and return ``path``.

    Raises RqError where a level is a symlink, no directory, another user's, or open to others, and
    StorageError where it cannot be made.
    """
    os.close(_open_checked(path))
    return path


def check(path: Path) -> None:
    """Raise RqError where ``ensure`` would refuse what is at ``path`` or its parent. Makes nothing."""
    for level in (path.parent, path):
        try:
            info = level.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(info.st_mode):
            raise RqError(_refusal(level, "it is not a directory of this user"))
        _check(level, info)


class LocalState:
    """The node-local state, held against tmp cleaners until ``close``. Raises what ``ensure`` does.

    ``fd`` is an open descriptor of the directory: a socket in it is reached through
    ``/proc/self/fd/<fd>/``, because a socket's path is limited to 108 bytes (unix(7)).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = _open_held(path)

    def beneath(self, name: str) -> str:
        """The short path of ``name`` in this directory, valid in this process while it is open."""
        return f"/proc/self/fd/{self.fd}/{name}"

    def is_in_place(self) -> bool:
        """Whether ``path`` still leads to this directory: a cleaner or a person may have removed it."""
        with contextlib.suppress(OSError):
            return _is_at(self.path, self.fd)
        return False

    def close(self) -> None:
        """Give the directory up; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_held(path: Path) -> int:
    while True:
        descriptor = _open_checked(path)
        try:
            # A cleaner that holds its own lock for a moment is waited for; if it removed the directory
            # before this lock was had, the lock is on nothing, and a new directory is made.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            with contextlib.suppress(FileNotFoundError):
                if _is_at(path, descriptor):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    mine, there = os.fstat(descriptor), os.stat(path, follow_symlinks=False)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _open_checked(path: Path) -> int:
    try:
        parent = _open_level(path.parent, None, str(path.parent))
        try:
            return _open_level(path, parent, path.name)
        finally:
            os.close(parent)
    except FileNotFoundError:
        # Removed by a cleaner between the two levels: making both again is all there is to do.
        return _open_checked(path)
    except OSError as error:
        place = path.parent.parent
        raise StorageError(
            f"{path}: cannot make the node-local state: {error.strerror}; make room or mend {place}"
        ) from error


def _open_level(path: Path, parent: int | None, name: str) -> int:
    made = False
    try:
        os.mkdir(name, _MODE, dir_fd=parent)
        made = True
    except FileExistsError:
        pass
    except FileNotFoundError as error:
        if parent is None:  # /var/tmp itself is missing: no second try will help
            raise StorageError(f"{path}: cannot make the node-local state: no {path.parent}") from error
        raise
    try:
        descriptor = os.open(name, _OPEN, dir_fd=parent)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RqError(_refusal(path, "it is not a directory of this user")) from error
    try:
        if made:
            os.fchmod(descriptor, _MODE)  # whatever the umask
        _check(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: Path, info: os.stat_result) -> None:
    if info.st_uid != os.geteuid():
        raise RqError(_refusal(path, f"it belongs to uid {info.st_uid}, not to {os.geteuid()}"))
    mode = stat.S_IMODE(info.st_mode)
    if mode & 0o777 != _MODE:
        raise RqError(_refusal(path, f"its mode is {mode & 0o7777:04o}, not 0700"))


def _refusal(path: Path, why: str) -> str:
    return f"{path}: refusing to use it as node-local state: {why}; look at it, then move it away"
