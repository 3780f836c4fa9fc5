"""Whether files behave: fsync, rename, exclusive creation, modes; and the clock that dates them."""

from __future__ import annotations

import errno
import os
import stat
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rq_py.doctor.finding import Finding, advice, ok, unsafe
from rq_py.doctor.scratch import Scratch

#: How often each operation is tried.
_FSYNCS, _RENAMES = 9, 30
_PAGE = 4096
#: Seconds by which two clocks may differ before it is worth a line.
MOST_SKEW = 5.0
#: Seconds by which the kernel's time stamps lag behind its clock: at most one tick of 100 Hz.
_TICK = 0.01

_NO_QUEUE = "do not use this file system for a queue"


@dataclass(frozen=True, slots=True)
class Skew:
    """By how many seconds another clock is ahead of this one's: somewhere from ``least`` to ``most``."""

    least: float
    most: float

    @property
    def is_small(self) -> bool:
        """Whether it may be small enough not to matter."""
        return self.least <= MOST_SKEW and self.most >= -MOST_SKEW

    def facts(self) -> dict[str, float]:
        """The middle of it, and by how much that can be wrong, seconds."""
        middle, half = (self.most + self.least) / 2, abs(self.most - self.least) / 2
        return {"clock_ahead": middle, "clock_uncertainty": half}

    def text(self, whose: str) -> str:
        """Where the other clock is, compared with ``whose``."""
        middle, half = self.facts().values()
        where = "ahead of" if middle >= 0 else "behind"
        return f"{_seconds(abs(middle))} {where} {whose} (to within {_seconds(half)})"


def _seconds(value: float) -> str:
    """Seconds for people."""
    return f"{value:.0f} s" if value >= 10 else f"{value:.2g} s"


def fsync(scratch: Scratch, measured: dict[str, object]) -> Finding:
    """Write and fsync a page now and then; the median time goes into ``measured``. Raises OSError."""
    descriptor = os.open(scratch.file("page", bytes(_PAGE)), os.O_WRONLY | os.O_CLOEXEC)
    try:
        of_files = [_timed(lambda: _write_page(descriptor)) for _ in range(_FSYNCS)]
    finally:
        os.close(descriptor)
    directory = os.open(scratch.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        of_directories = []
        for number in range(_FSYNCS):
            scratch.file(f"new-{number}")
            of_directories.append(_timed(lambda: os.fsync(directory)))
    finally:
        os.close(directory)
    median = statistics.median(of_files)
    measured["fsync_ms"] = median
    measured["fsync_directory_ms"] = statistics.median(of_directories)
    return ok("fsync", f"fsync works and takes {median:.3g} ms (median); every submit waits for a few")


def _write_page(descriptor: int) -> None:
    os.pwrite(descriptor, os.urandom(_PAGE), 0)
    os.fsync(descriptor)


def _timed(operation: Callable[[], None]) -> float:
    """Milliseconds that it takes."""
    begun = time.perf_counter()
    operation()
    return (time.perf_counter() - begun) * 1000


def rename(scratch: Scratch) -> Finding:
    """Rename over a file that a thread keeps reading, and over a directory. Raises OSError."""
    check = "rename"
    target = scratch.file("target", _content(0))
    reader = _Reader(target)
    reader.start()
    try:
        for number in range(1, _RENAMES + 1):
            os.rename(scratch.file("source", _content(number)), target)
    finally:
        reader.stop()
    if reader.trouble:
        return unsafe(
            check, f"while a file was renamed over another, a reader found {reader.trouble}", _NO_QUEUE
        )
    if target.read_bytes() != _content(_RENAMES) or (scratch.folder / "source").exists():
        return unsafe(check, "a file that was renamed over another did not replace it", _NO_QUEUE)
    full, other = scratch.folder / "full", scratch.folder / "other"
    full.mkdir()
    scratch.file("full/content")
    other.mkdir()
    try:
        os.rename(other, full)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        return unsafe(check, "a directory was renamed over one that is not empty", _NO_QUEUE)
    if reader.missed:
        return advice(
            check,
            f"while a file was renamed over another, a reader found none of the two {reader.missed} times",
            "when a command says once that a queue is not there, repeat it",
        )
    return ok(check, "rename replaces a file at once, and no directory that is not empty")


def _content(number: int) -> bytes:
    """A page that can be told from every other."""
    return f"{number:08d}".encode() * (_PAGE // 8)


class _Reader:
    """A thread that reads a file again and again, and notes when it is not there, or not whole.

    An NFS client renames the file that a reader has open out of the way first, so there may be a gap.
    """

    def __init__(self, path: Path) -> None:
        self.trouble = ""
        self.missed = 0  #: how often there was no file at all
        self._path = path
        self._ended = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rqpy-doctor", daemon=True)

    def start(self) -> None:
        """Begin, and return after the first look."""
        self._thread.start()
        self._looked.wait()

    def stop(self) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set() and not self.trouble:
            try:
                content = self._path.read_bytes()
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ESTALE):
                    self.missed += 1
                else:
                    self.trouble = f"an error ({error.strerror})"
            else:
                if content not in map(_content, range(_RENAMES + 1)):
                    self.trouble = "parts of a file"
            self._looked.set()


def exclusive_creation(scratch: Scratch) -> Finding:
    """Make what is there already, as a file and as a directory. Raises OSError."""
    path = scratch.folder / "exclusive"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    makers: dict[str, Callable[[], None]] = {
        "file": lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)),
        "directory": path.mkdir,
        "symlink": lambda: path.symlink_to("target"),
    }
    for name, make in makers.items():
        try:
            make()
        except FileExistsError:
            continue
        return unsafe("exclusive_creation", f"a new {name} was made where a file is already", _NO_QUEUE)
    return ok("exclusive_creation", "of several that make the same name, one succeeds")


def modes(scratch: Scratch) -> Finding:
    """Whether modes, setgid included, and symlinks are kept. Raises OSError."""
    check, do = "modes", "use a file system with Unix modes, or a mount without options that replace them"
    path = scratch.file("mode")
    for mode in (0o600, 0o640, 0o755):
        path.chmod(mode)
        if stat.S_IMODE(path.stat().st_mode) != mode:
            found = stat.S_IMODE(path.stat().st_mode)
            return unsafe(check, f"a file that was given the mode {mode:04o} has {found:04o}", do)
    link = scratch.folder / "link"
    link.symlink_to("mode")
    if os.readlink(link) != "mode":
        return unsafe(check, "a symlink leads elsewhere than it was made to", do)
    shared = scratch.folder / "shared"
    shared.mkdir()
    os.chown(shared, -1, os.getegid())
    shared.chmod(0o2770)
    if not shared.stat().st_mode & stat.S_ISGID:
        return advice(
            check,
            "directories cannot be setgid here, so a group cannot share a queue",
            "create a queue without --group, or use another mount",
        )
    return ok(check, "files and directories keep the modes that they are given, setgid too")


def server_clock(scratch: Scratch, measured: dict[str, object]) -> Finding:
    """Compare the time of a new directory with this machine's clock. Raises OSError."""
    path = scratch.folder / "clock"
    before = time.time()
    path.mkdir()  # of files, some NFS clients set the time themselves
    dated = path.stat().st_mtime
    skew = Skew(dated - time.time(), dated - before + _TICK)
    measured["server_clock"] = skew.facts()
    what = f"the clock that dates files is {skew.text('this machine')}"
    if skew.is_small:
        return ok("server_clock", what)
    return advice(
        "server_clock",
        f"{what}: rqpy compares them nowhere, but listings and files show them",
        "run NTP (chrony) on this machine and the file server",
    )
