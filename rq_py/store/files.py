"""File operations as other nodes see them: fresh reads, durable writes, one-line errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rq_py.errors import StorageError


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn an OSError inside into a StorageError of one line that names the path."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{error.filename or path}: {error.strerror or error}") from error


def read_fresh(path: Path) -> bytes:
    """Read a small file through an open of its own: on NFS only an open asks the server (nfs(5))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file and wait until it is on stable storage; ``mode`` holds whatever the umask is."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(descriptor, mode)
        while content:  # write(2) may write less than it is given
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a directory as far as that can be done now; never raises."""
    import shutil

    with suppress(OSError):  # rmtree itself lets some of those out that it is to ignore
        shutil.rmtree(path, ignore_errors=True)


def sync_name(path: Path, what: str = "there") -> None:
    """Make the new name ``path`` durable. Raises StorageError that says that it is ``what`` nevertheless."""
    try:
        sync_directory(path.parent)
    except OSError as error:
        why = error.strerror
        raise StorageError(
            f"{path}: is {what}, but may not outlive a crash of the machine or the server: {why}"
        ) from error


def sync_directory(path: Path) -> None:
    """Make renames and new names in the directory durable (fsync(2): the file's own fsync does not)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def server_time(directory: Path) -> float:
    """The file server's time, seconds since the epoch: that of a file made now in ``directory``."""
    probe = directory / f".clock.{os.getpid()}"
    write_new(probe, b"", 0o600)
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()
