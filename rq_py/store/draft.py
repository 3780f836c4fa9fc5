"""A queue directory in the making: hidden beside its place until one rename publishes it whole."""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rq_py import settings as settings_file
from rq_py.errors import QueueExists, StorageError
from rq_py.locking import mounts
from rq_py.locking.record import SIZE
from rq_py.queuedir import Generation, QueueDir
from rq_py.settings import Settings
from rq_py.store.files import file_errors, remove_tree, server_time, sync_directory, sync_name, write_new

#: Seconds after which a draft that nobody touched is one whose maker was killed.
KEEP_SECONDS = 86400.0

_SUFFIX = ".rqpy-draft"
_NAME = re.compile(rf"\..+\.[0-9a-f]{{8}}(\.old)?{re.escape(_SUFFIX)}")


class Draft:
    """A directory that becomes the queue at ``place``; until ``publish`` it has no ``queue.yml``."""

    def __init__(self, place: Path, path: Path) -> None:
        self.place = place
        self.directory = QueueDir(path)

    def touch(self) -> None:
        """Show that somebody works on it; to be called now and then by a maker that takes hours."""
        os.utime(self.directory.path)

    def complete(self, settings: Settings) -> None:
        """Write ``queue.yml``, which makes a queue of it, and wait until all of it is on stable storage."""
        with file_errors(self.directory.path):
            settings_file.write(self.directory.settings, settings)
            sync_filesystem(self.directory.path)

    def publish(self) -> None:
        """Rename it to its place, durably. Raises QueueExists."""
        with file_errors(self.place):
            try:
                os.rename(self.directory.path, self.place)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise QueueExists(f"{self.place}: exists: give another name") from error
                raise
            sync_name(self.place)

    def publish_instead(self) -> None:
        """Like ``publish``, in place of a directory that is not needed any more and removed then.

        For a moment there is neither. Raises QueueExists when others keep doing the same.
        """
        aside = self.directory.path.with_suffix(f".old{_SUFFIX}")
        for _ in range(10):
            with file_errors(self.place), suppress(FileNotFoundError):
                os.rename(self.place, aside)
            try:
                self.publish()
            except QueueExists:
                remove_tree(aside)
            else:
                remove_tree(aside)
                return
        raise QueueExists(f"{self.place}: others replace it all the time")


@contextmanager
def draft_of(place: Path) -> Iterator[Draft]:
    """A draft of the queue at ``place``; when the block fails, nothing is left of it.

    What makers that were killed left beside it a day ago is removed first. Raises StorageError.
    """
    with file_errors(place):
        if not place.parent.is_dir():
            raise StorageError(f"{place.parent}: no such directory: make it first")
        mounts.check(place.parent)
        _sweep(place.parent)
        path = place.with_name(f".{place.name}.{os.urandom(4).hex()}{_SUFFIX}")
        path.mkdir(mode=0o700)
    try:
        yield Draft(place, path)
    except BaseException:
        remove_tree(path)
        raise


def draft_file(place: Path) -> Path:
    """The name under which a file is made that will be ``place``."""
    return place.with_name(f".{place.name}.{os.urandom(4).hex()}{_SUFFIX}")


def _sweep(folder: Path) -> None:
    """Remove drafts that nobody has touched for a day, by the file server's own clock."""
    drafts = [folder / name for name in os.listdir(folder) if _NAME.fullmatch(name)]
    if not drafts:
        return
    now = server_time(folder)
    for path in drafts:
        with suppress(OSError):
            if now - path.lstat().st_mtime < KEEP_SECONDS:
                continue
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            else:
                path.unlink()


def make_folders(directory: QueueDir, settings: Settings, folders: tuple[Path, ...], gid: int) -> None:
    """Make ``folders`` and the first generation's in ``directory``, with the modes of the settings.

    ``gid`` is of the group that shares them, -1 for none.
    """
    for folder in (directory.path, *folders, directory.generation(1).path):
        folder.mkdir(exist_ok=True)
        # chown first: it clears the setgid bit that the mode sets (chown(2)).
        os.chown(folder, -1, gid)
        folder.chmod(settings.directory_mode)


def make_generation_files(generation: Generation, maker: str, mode: int) -> None:
    """Make what stands beside the database of a new generation, durably."""
    write_new(generation.lock, b"\n" * SIZE, mode)
    write_new(generation.maker, f"{maker}\n".encode(), mode)
    write_new(generation.frozen, b"", mode)
    sync_directory(generation.path)


def sync_filesystem(path: Path) -> None:
    """Wait until everything in the file system of ``path`` is on stable storage: syncfs(2).

    For a million small files that is minutes less than an fsync each. Raises OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)
