"""Generations of the database: which one is current.

A generation that is frozen acknowledges no further commit, because every commit looks afterwards.
How the next one is made is in store/successor.py.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from rq_py.errors import NotAQueue, OutcomeUnknown
from rq_py.queuedir import Generation, QueueDir
from rq_py.settings import Settings
from rq_py.store.files import file_errors, read_fresh, remove_tree, server_time, write_new

#: Seconds for which an old generation stays for late writers, and an unfinished one for its maker.
KEEP_OLD_SECONDS = 86400.0

#: Files of one moment, which were to be renamed or removed: they hold the pid of their maker.
_TEMPORARY = r"\.(generation|db|queue\.yml|clock)\.[0-9]+(\.[0-9a-f]+)?"


def is_frozen(generation: Generation) -> bool:
    """Whether the generation acknowledges no more commits."""
    return bool(read_fresh(generation.frozen))


def check_acknowledged(generation: Generation) -> None:
    """Only a commit into a generation that is still not frozen is one; raises OutcomeUnknown."""
    try:
        frozen = is_frozen(generation)
    except OSError as error:
        raise OutcomeUnknown(f"{generation.frozen}: {error.strerror}") from error
    if frozen:
        raise OutcomeUnknown(f"{generation.path}: was replaced during the COMMIT")


class Generations:
    """The generations of one queue."""

    def __init__(self, directory: QueueDir, settings: Settings) -> None:
        self._directory = directory
        self._settings = settings

    def current(self) -> Generation:
        """The first generation that is not frozen; makes it when its maker died before it was there.

        Raises NotAQueue when the directory has none, StorageError.
        """
        with file_errors(self._directory.path):
            number = self._hint()
            missing: set[int] = set()
            while True:
                generation = self._directory.generation(number)
                try:
                    if not is_frozen(generation):
                        return generation
                except FileNotFoundError:
                    missing.add(number)
                    numbers = [n for n in self.numbers() if n not in missing]
                    if not numbers:
                        raise NotAQueue(f"{self._directory.path}: has no database") from None
                    # The hint was ahead of a restored copy, or its generation is already pruned.
                    number = min((n for n in numbers if n > number), default=numbers[0])
                    continue
                if not self._directory.generation(number + 1).frozen.exists():
                    return self.supersede(generation, "its successor was never finished")
                number += 1

    def _hint(self) -> int:
        """What ``Q/generation`` says; the lowest that exists when it says nothing of use."""
        try:
            return int(read_fresh(self._directory.generation_hint))
        except (FileNotFoundError, ValueError):
            return (self.numbers() or [1])[0]

    def numbers(self) -> list[int]:
        """The numbers of the generations that exist, ascending."""
        names = os.listdir(self._directory.path)
        return sorted(int(name[3:]) for name in names if name.startswith("db.") and name[3:].isdecimal())

    def supersede(self, old: Generation, why: str) -> Generation:
        """Freeze ``old`` and return the generation after it, whoever made it. Raises StorageError.

        ``why`` is one line for people.
        """
        from rq_py.store import successor  # needed once in a blue moon, and slow to import

        new = successor.make(self._directory, self._settings, old, why)
        self.point_at(new)
        return new

    def point_at(self, generation: Generation) -> None:
        """Renew the hint and the symlink for people; losing a race here costs a look at most."""
        suffix = f".{os.getpid()}.{os.urandom(4).hex()}"
        hint = self._directory.generation_hint
        link = self._directory.database_link
        with file_errors(self._directory.path):
            temporary = hint.with_name(f".{hint.name}{suffix}")
            write_new(temporary, f"{generation.number}\n".encode(), self._settings.file_mode)
            os.rename(temporary, hint)
            temporary = link.with_name(f".{link.name}{suffix}")
            os.symlink(f"{generation.path.name}/{generation.database.name}", temporary)
            os.rename(temporary, link)

    def prune(self) -> list[Path]:
        """Remove what is a day old by the server's clock: old generations, and what killed processes left.

        Returns what was removed. Raises StorageError.
        """
        removed = []
        with file_errors(self._directory.path):
            current = self.current().number
            now = server_time(self._directory.path)
            for entry in sorted(self._directory.path.glob("db.*")):
                number = entry.name[3:]
                is_old = number.isdecimal() and int(number) < current
                mark = entry / "frozen" if is_old else entry
                if not (is_old or number.startswith("tmp.")) or not mark.exists():
                    continue
                if now - mark.stat().st_mtime >= KEEP_OLD_SECONDS:
                    remove_tree(entry)
                    removed.append(entry)
            for entry in self._directory.path.glob(".*"):
                with suppress(FileNotFoundError):  # renamed, or another feeder was first
                    is_temporary = re.fullmatch(_TEMPORARY, entry.name)
                    if is_temporary and now - entry.lstat().st_mtime >= KEEP_OLD_SECONDS:
                        entry.unlink()
                        removed.append(entry)
        return removed
