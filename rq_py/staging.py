"""Staging: a job's stdin and data are copied into the queue before it has a jid, and renamed to it then.

Copies are made and synced without the queue lock, under the submit's token. Inside the transaction they
are only renamed. The row says whether a job has stdin or data, so what a killed submit left behind is
never taken for a later job's.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rq_py.errors import InputError, NotFound, StorageError
from rq_py.queuedir import QueueDir
from rq_py.settings import Settings
from rq_py.store.files import file_errors, remove_tree, server_time, sync_directory

#: What a job's stdin can be given as: its bytes, an open binary file, or a path.
Source = bytes | BinaryIO | os.PathLike[str] | str

KINDS = ("stdin", "data")

#: Seconds for which staged files are left to their submit.
KEEP_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class _Move:
    """A rename inside the transaction: ``staged``, with this inode, became ``target``; ``aside`` was there.

    Where the target was only put aside, ``inode`` is None.
    """

    target: Path
    inode: int | None
    staged: Path
    aside: Path | None


class Staging:
    """What a submit or an update stages: ``add_...`` before a transaction, ``adopt`` in it, ``discard`` then.

    A position is what ``adopt`` makes a jid of. ``replacing`` keeps what the jobs have until ``discard``,
    so that ``take_back`` can restore it.
    """

    def __init__(
        self, directory: QueueDir, settings: Settings, token: str, *, replacing: bool = False
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._token = token
        self._replacing = replacing
        self._staged: list[tuple[str, int, Path]] = []  # kind, position, where
        self._moves: list[_Move] = []
        self._shared_stdin = 0  # the position whose stdin others are linked to

    def add_stdin(self, position: int, source: Source) -> None:
        """Stage the stdin of the job at ``position``. Raises InputError, StorageError."""
        self._shared_stdin = position
        if isinstance(source, (str, os.PathLike)):
            with _open_input(Path(source)) as file:
                self._copy_stream(position, file)
        else:
            self._copy_stream(position, source)

    def add_stdin_again(self, position: int) -> None:
        """Give the job at ``position`` the stdin that was staged last, if possible without a copy.

        A hard link is enough, because a job's stdin is replaced, never written in place.
        """
        first = self._directory.staged("stdin", f"{self._token}.{self._shared_stdin}")
        path = self._new("stdin", position)
        with file_errors(path):
            try:
                os.link(first, path)
            except OSError as error:
                # A file has 65,000 links at most on ext4, and none on some file systems (link(2)).
                if error.errno not in {errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}:
                    raise
            else:
                return
        with _open_input(first) as file:
            self._write(path, lambda out: shutil.copyfileobj(file, out, 1 << 20))
        self._shared_stdin = position

    def add_data(self, position: int, source: Path) -> None:
        """Stage a copy of the file or directory ``source``; symlinks in it stay symlinks.

        Its files and directories get the queue's modes, so that whoever may feed can read them; what
        is executable stays so. Raises InputError, StorageError.
        """
        path = self._new("data", position)
        try:
            if source.is_dir():
                if self._directory.path.resolve().is_relative_to(source.resolve()):
                    raise InputError(f"{source}: holds the queue itself, so it cannot be data in it")
                shutil.copytree(source, path, symlinks=True)
                self._settle(path)
            else:
                with _open_input(source, os.O_NONBLOCK) as file:  # a fifo would wait for somebody who writes
                    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                        raise InputError(f"{source}: is neither a file nor a directory")
                    self._write(path, lambda out: shutil.copyfileobj(file, out, 1 << 20))
                    path.chmod(self._mode(os.fstat(file.fileno()).st_mode))
        except shutil.Error as error:
            # One tuple (source, copy, why) for each file that could not be copied.
            name, _, why = error.args[0][0]
            raise StorageError(f"{name}: cannot be copied as data: {why}") from error
        except OSError as error:
            where = error.filename or source
            raise StorageError(f"{where}: cannot be copied as data: {error.strerror}") from error

    def add_copy(self, position: int, kind: str, reference: str) -> None:
        """Stage a copy of ``stdin/<jid>`` or ``data/<jid>`` of this very queue (``reference``)."""
        path = self._directory.path / reference
        try:
            found = path.lstat()
        except FileNotFoundError:
            raise NotFound(f"{path}: there is no such {kind} any more: leave the field {kind} out") from None
        if kind == "data":
            if stat.S_ISLNK(found.st_mode):
                raise InputError(f"{path}: is a symlink, which is not followed")
            self.add_data(position, path)
        elif not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path}: is no regular file")
        else:
            self.add_stdin(position, path)

    def _mode(self, given: int) -> int:
        """The queue's mode for a data file that had the mode ``given``: what was executable stays so."""
        mode = self._settings.file_mode
        return mode | (mode & 0o444) >> 2 if given & stat.S_IXUSR else mode

    def _settle(self, root: Path) -> None:
        """Give everything below ``root`` the queue's modes, and wait until it is on stable storage."""
        for folder, _, names in os.walk(root):
            os.chmod(folder, self._settings.directory_mode)
            for name in names:
                path = Path(folder, name)
                if path.is_symlink():
                    continue
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    os.fchmod(descriptor, self._mode(os.fstat(descriptor).st_mode))
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            sync_directory(Path(folder))

    def _new(self, kind: str, position: int) -> Path:
        """A new staged path, remembered."""
        path = self._directory.staged(kind, f"{self._token}.{position}")
        self._staged.append((kind, position, path))
        return path

    def _copy_stream(self, position: int, source: bytes | BinaryIO) -> None:
        """Stage stdin from bytes or an open file."""
        path = self._new("stdin", position)

        def fill(out: BinaryIO) -> None:
            if isinstance(source, bytes):
                out.write(source)
            else:
                shutil.copyfileobj(source, out, 1 << 20)

        self._write(path, fill)

    def _write(self, path: Path, fill: Callable[[BinaryIO], None]) -> None:
        """Write a staged file durably."""
        with file_errors(path), open(path, "xb") as out:
            os.fchmod(out.fileno(), self._settings.file_mode)
            fill(out)
            out.flush()
            os.fsync(out.fileno())

    def has(self, kind: str) -> bool:
        """Whether anything of ``kind`` is staged."""
        return any(staged[0] == kind for staged in self._staged)

    def adopt(self, jid_of: Callable[[int], int | None], beat: Callable[[], None]) -> None:
        """Inside the transaction: rename what is staged to the jid that ``jid_of`` gives a position, durably.

        What is at a position without a jid stays staged.
        """
        with file_errors(self._directory.path):
            for kind, position, path in self._staged:
                jid = jid_of(position)
                if jid is None:
                    continue
                target = self._directory.path / kind / str(jid)
                inode = path.lstat().st_ino
                aside = None
                # Else something is there that a killed submit has left; a file is renamed over, a directory
                # cannot be.
                if self._replacing or kind == "data" or (target.is_dir() and not target.is_symlink()):
                    # Only what an edit puts aside is put back when it is killed (store/asides.py).
                    name = f"{path.name}.{'aside' if self._replacing else 'stray'}"
                    aside = _put_aside(target, path.with_name(name), may_link=kind == "stdin")
                self._moves.append(_Move(target, inode, path, aside))
                os.rename(path, target)
                beat()
            for kind in KINDS:
                if self.has(kind):
                    sync_directory(self._directory.path / kind)

    def put_away(self, kind: str, jids: Iterable[int], beat: Callable[[], None]) -> None:
        """Inside the transaction: take away what the jobs have of ``kind``; ``discard`` removes it."""
        with file_errors(self._directory.path):
            for jid in jids:
                target = self._directory.path / kind / str(jid)
                staged = self._directory.staged(kind, f"{self._token}.{jid}")
                aside = _put_aside(target, staged.with_name(f"{staged.name}.aside"), may_link=False)
                self._moves.append(_Move(target, None, staged, aside))
                beat()
            sync_directory(self._directory.path / kind)

    @property
    def is_adopted(self) -> bool:
        """Whether there is something to take back."""
        return bool(self._moves)

    def take_back(self) -> None:
        """Undo ``adopt`` and ``put_away``, under the queue lock, when the transaction will not be.

        What has been replaced by others since is left alone.
        """
        while self._moves:
            move = self._moves.pop()
            with suppress(OSError):
                inode = _inode(move.target)
                if inode == move.inode and inode is not None:
                    os.rename(move.target, move.staged)
                    inode = None
                if move.aside is not None:
                    if inode is None:
                        os.rename(move.aside, move.target)
                    else:
                        remove(move.aside)

    def keep(self) -> None:
        """Have ``discard`` leave what was put aside to ``prune``: nobody knows whether it is still needed."""
        self._moves.clear()

    def discard(self) -> None:
        """Remove what was staged and not adopted, and what was put aside."""
        for _, _, path in self._staged:
            remove(path)
        for move in self._moves:
            if move.aside is not None:
                remove(move.aside)


def _put_aside(target: Path, aside: Path, *, may_link: bool) -> Path | None:
    """Keep what is at ``target`` as ``aside``; returns that, or None where there is nothing.

    With ``may_link`` it stays at its place too, to be renamed over, so that there is no moment without it.
    """
    try:
        with suppress(PermissionError):
            os.utime(target, follow_symlinks=False)  # or ``prune`` might take it for old
        if may_link and not target.is_dir():
            try:
                os.link(target, aside, follow_symlinks=False)
            except FileNotFoundError:
                raise
            except OSError:  # too many links, or a file system without
                os.rename(target, aside)
        else:
            os.rename(target, aside)
    except FileNotFoundError:
        return None
    return aside


def _inode(path: Path) -> int | None:
    """The inode at ``path``, None where there is nothing."""
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None


def remove(path: Path) -> None:
    """Remove a staged file or directory, as far as that can be done."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            path.unlink(missing_ok=True)


def prune(directory: QueueDir) -> list[Path]:
    """Remove staged files that are a day old: their submit was killed. Returns them. Raises StorageError."""
    removed = []
    with file_errors(directory.path):
        now = server_time(directory.path)
        for kind in KINDS:
            for path in (directory.path / kind).glob(".*"):
                if now - path.lstat().st_mtime >= KEEP_SECONDS:
                    remove(path)
                    removed.append(path)
    return removed


def _open_input(path: Path, flags: int = 0) -> BinaryIO:
    """Open a file that the user named, with ``flags`` of open(2). Raises InputError."""
    try:
        file = open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags))  # noqa: SIM115
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    return file
