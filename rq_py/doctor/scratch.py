"""The folder in which the checks try things out: made, always removed; tidies what killed doctors left."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rq_py.store.signals import signals_waiting

#: Seconds after which a doctor's folder is one whose doctor was killed.
KEEP_SECONDS = 86400.0

_PREFIX = ".rqpy-doctor."
#: A doctor's folder, what it shows to a doctor on another node, and what refreshes a client's cache.
_NAME = re.compile(rf"{re.escape(_PREFIX)}([0-9a-f]{{16}})(\.peer|\.look)?")
_ENDING = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Modes:
    """The modes of what is made, so that those who share the directory share it."""

    directory: int
    file: int


class Scratch:
    """The folders of one doctor in ``directory``."""

    def __init__(self, directory: Path, modes: Modes) -> None:
        self.directory = directory
        self.modes = modes
        self.token = os.urandom(8).hex()
        self.folder = directory / f"{_PREFIX}{self.token}"
        self.shown = peer_folder(directory, self.token)
        self._look = directory / f"{_PREFIX}{self.token}.look"

    def file(self, name: str, content: bytes = b"") -> Path:
        """Make a file in the folder. Raises OSError."""
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(self.modes.file)
        return path

    def show(self, files: dict[str, bytes]) -> None:
        """Make ``shown`` with these files: whole, by one rename. Raises OSError."""
        draft = self.folder / "shown"
        draft.mkdir()
        draft.chmod(self.modes.directory)
        for name, content in files.items():
            self.file(f"shown/{name}", content)
        draft.rename(self.shown)

    def refresh(self) -> None:
        """Make this client ask the server what is in the directory: it does after a change of its own.

        Without one it may believe its cache for a minute (nfs(5), acdirmax). Raises OSError.
        """
        self._look.mkdir()
        self._look.rmdir()

    def remove(self) -> None:
        """Remove all of it; signals wait meanwhile."""
        with signals_waiting():
            for path in (self.shown, self.folder, self._look):
                shutil.rmtree(path, ignore_errors=True)


def peer_folder(directory: Path, token: str) -> Path:
    """What the doctor with this token shows."""
    return directory / f"{_PREFIX}{token}.peer"


def peers_in(directory: Path) -> list[str]:
    """The tokens of the doctors that show something. Raises OSError."""
    matches = map(_NAME.fullmatch, os.listdir(directory))
    return [match[1] for match in matches if match and match[2] == ".peer"]


@contextmanager
def scratch_in(directory: Path, modes: Modes) -> Iterator[Scratch]:
    """A new folder in ``directory``, gone after the block, however that ends. Raises OSError."""
    scratch = Scratch(directory, modes)
    with _ended_by_exception():
        try:
            scratch.folder.mkdir()
            scratch.folder.chmod(modes.directory)
            yield scratch
        finally:
            scratch.remove()


def tidy(directory: Path, now: float) -> int:
    """Remove what killed doctors left in ``directory`` a day before ``now``, the file server's time.

    Returns how many entries were removed.
    """
    removed = 0
    for name in os.listdir(directory):
        path = directory / name
        with suppress(OSError):
            if _NAME.fullmatch(name) and now - path.lstat().st_mtime >= KEEP_SECONDS:
                shutil.rmtree(path)
                removed += 1
    return removed


@contextmanager
def _ended_by_exception() -> Iterator[None]:
    """Let TERM and HUP end the block as an exception does, so that it can clean up."""

    def end(signum: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    wanted = [signum for signum in _ENDING if signal.getsignal(signum) is signal.SIG_DFL]
    for signum in wanted:
        signal.signal(signum, end)
    try:
        yield
    finally:
        for signum in wanted:
            signal.signal(signum, signal.SIG_DFL)
