"""Making a queue so that it is whole or not there: one rename, or ``queue.yml`` last, comes at the end."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from rq_py import settings as settings_file
from rq_py.errors import QueueExists, StorageError, UsageError
from rq_py.locking import mounts
from rq_py.queuedir import Generation, QueueDir
from rq_py.settings import CHANGEABLE, Settings
from rq_py.store import migrate
from rq_py.store.database import connect, storage_errors
from rq_py.store.draft import make_folders, make_generation_files
from rq_py.store.files import file_errors, remove_tree, sync_directory, sync_name, write_new
from rq_py.store.generation import Generations
from rq_py.store.signals import signals_waiting


def create(path: Path, *, group: str | None, public: bool, texts: Mapping[str, str]) -> None:
    """Make a queue at the absolute ``path``.

    Raises QueueExists, UsageError, UnsafeMount, StorageError; there is nothing new then.
    """
    settings = _settings(group, public, texts)
    with file_errors(path):
        if QueueDir(path).settings.exists():
            raise QueueExists(f"{path}: is a queue already")
        if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
            raise QueueExists(f"{path}: exists and is not an empty directory: give another path")
        if not path.parent.is_dir():
            raise StorageError(f"{path.parent}: no such directory: make it first")
    if path.exists():
        mounts.check(path)
        _create_in_place(path, settings)
    else:
        mounts.check(path.parent)
        _create_by_rename(path, settings)


def _create_by_rename(path: Path, settings: Settings) -> None:
    """Make the queue beside ``path``, then rename it."""
    draft = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        with signals_waiting(), file_errors(draft):
            draft.mkdir()
            _fill(QueueDir(draft), settings)
            _publish(draft, path)
    except BaseException:
        remove_tree(draft)
        raise


def _create_in_place(path: Path, settings: Settings) -> None:
    """Make the queue in an empty directory: it may be a mount point, or lie where only it is the user's.

    ``queue.yml`` comes last, so until then it is no queue.
    """
    with signals_waiting(), file_errors(path):
        try:
            QueueDir(path).generation(1).path.mkdir()  # of several at once, one goes on
        except FileExistsError:
            raise QueueExists(f"{path}: somebody else makes a queue there") from None
        try:
            _fill(QueueDir(path), settings)
        except BaseException:
            for entry in path.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    remove_tree(entry)
                else:
                    entry.unlink(missing_ok=True)
            raise


def create_default(path: Path) -> None:
    """Make the user's own queue; somebody else may do so at the same moment. Raises StorageError."""
    with file_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        create(path, group=None, public=False, texts={})
    except QueueExists:
        if not QueueDir(path).settings.exists():
            raise


def _settings(group: str | None, public: bool, texts: Mapping[str, str]) -> Settings:
    """The settings of the new queue. Raises UsageError."""
    for key in texts:
        if key not in CHANGEABLE:
            raise UsageError(f"{key}: no such setting, there are {' '.join(CHANGEABLE)}")
    if group is not None and public:
        raise UsageError("--group and --public exclude each other")
    access = "group" if group is not None else "public" if public else "private"
    base = Settings(uuid=os.urandom(16).hex(), access=access, group=group or "")
    if group is not None and _gid(group) not in {os.getegid(), *os.getgroups()} and os.geteuid() != 0:
        raise UsageError(f"{group}: you are not a member of this group")
    return settings_file.from_texts(base, texts)


def _gid(group: str) -> int:
    """The number of ``group``. Raises UsageError."""
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(f"{group}: no such group") from None


def _fill(directory: QueueDir, settings: Settings) -> None:
    """Make folders, settings and the first generation in ``directory``."""
    gid = _gid(settings.group) if settings.group else -1
    generation = directory.generation(1)
    make_folders(directory, settings, directory.folders, gid)
    _make_database(generation, settings)
    Generations(directory, settings).point_at(generation)
    _install_programs(directory, settings)
    sync_directory(generation.path)
    settings_file.write(directory.settings, settings)
    sync_directory(directory.path)


def _install_programs(directory: QueueDir, settings: Settings) -> None:
    """Copy what jobs find on their PATH: rqmailer, a program that needs no rqpy."""
    source = Path(__file__).with_name("rqmailer.py").read_bytes()
    executable = settings.file_mode | (settings.file_mode & 0o444) >> 2
    write_new(directory.bin / "rqmailer", b"#!/usr/bin/env python3\n" + source, executable)
    sync_directory(directory.bin)


def _make_database(generation: Generation, settings: Settings) -> None:
    """Make the database; committing the schema makes the journal that must always exist."""
    write_new(generation.database, b"", settings.file_mode)
    with storage_errors(generation.database):
        connection = connect(generation.database)
        try:
            connection.execute("BEGIN IMMEDIATE")
            migrate.apply(connection.execute, migrate.schema())
            connection.execute("INSERT INTO generation (number, maker) VALUES (1, 'create')")
            connection.execute("COMMIT")
            # The first transaction of an empty file journals nothing; this one leaves a journal of some size.
            connection.execute("UPDATE generation SET number = 1")
        finally:
            connection.close()
    make_generation_files(generation, "create", settings.file_mode)


def _publish(draft: Path, path: Path) -> None:
    """Rename the whole queue into place."""
    try:
        os.rename(draft, path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise QueueExists(f"{path}: appeared meanwhile") from error
        raise
    sync_name(path)
