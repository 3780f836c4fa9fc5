"""Run on a node: rqpy, which stops or dies at one exact moment of its work, even inside of SQLite.

    stops.py stop|kill MOMENT MARK WORD...      what ``rqpy WORD...`` does, until MOMENT

It happens once, and only while the file MARK is there and empty: the process's own pid is written into it
then. The moments are those in MOMENTS, and ``page:N``; with ``MOMENT,MOMENT`` the second counts when the
first has been and MARK is empty once more. SQLite's own steps are seen because its system calls can be
replaced (sqlite3_vfs.xSetSystemCall, https://www.sqlite.org/c3ref/vfs.html).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

#: Of a transaction, in their order. What is written is in this node's page cache then, and not yet sent.
WRITING = ("begun", "commit", "header", "page:1", "page:3", "zeroed", "committed")
#: Of a process that makes a generation, in their order.
MAKING = (
    "making", "frozen", "drafted", "half-copied", "copied", "compared", "opened", "checked", "published",
    "pointed",
)  # fmt: skip
MOMENTS = (*WRITING, *MAKING)

_MAGIC = bytes.fromhex("d9d505f920a163d7")
#: SQLite ends a transaction in the PERSIST journal with so many zeros.
_ZEROED = 28


class Stop:
    """What happens at the moment."""

    def __init__(self, action: str, moment: str, mark: str) -> None:
        self._signal = {"stop": signal.SIGSTOP, "kill": signal.SIGKILL}[action]
        names = (name.partition(":") for name in moment.split(","))
        self._moments = [(name, int(count or 1)) for name, _, count in names]
        self._mark = Path(mark)
        self._seen = 0

    def reached(self, name: str) -> None:
        """Stop (or die) if this is the moment."""
        if not self._moments or name != self._moments[0][0] or not self._is_armed():
            return
        self._seen += 1
        if self._seen < self._moments[0][1]:
            return
        del self._moments[0]
        self._seen = 0
        self._mark.write_text(f"{os.getpid()}\n", encoding="ascii")
        os.kill(os.getpid(), self._signal)

    def _is_armed(self) -> bool:
        try:
            return self._mark.stat().st_size == 0
        except FileNotFoundError:
            return False

    def before(self, name: str, module: Any, function: str) -> None:
        """This is the moment before ``function`` of a module or class is called."""
        self._wrap(module, function, lambda: self.reached(name), lambda: None)

    def after(self, name: str, module: Any, function: str) -> None:
        """This is the moment after it has returned."""
        self._wrap(module, function, lambda: None, lambda: self.reached(name))

    @staticmethod
    def _wrap(module: Any, function: str, before: Callable[[], None], after: Callable[[], None]) -> None:
        original = getattr(module, function)

        @wraps(original)
        def wrapper(*values: Any, **named: Any) -> Any:
            before()
            result = original(*values, **named)
            after()
            return result

        setattr(module, function, wrapper)


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``."""

    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        ("methods", ctypes.c_void_p * 13),
        ("xSetSystemCall", ctypes.c_void_p),
        ("xGetSystemCall", ctypes.c_void_p),
        ("xNextSystemCall", ctypes.c_void_p),
    )


_PWRITE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
)


def watch_writes(stop: Stop) -> list[object]:
    """Have SQLite's writes looked at; what is returned must not be freed."""
    import _sqlite3

    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_initialize()
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    vfs = library.sqlite3_vfs_find(None)
    get = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(vfs.contents.xGetSystemCall)
    put = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
        vfs.contents.xSetSystemCall
    )
    kept: list[object] = []
    for name in (b"pwrite", b"pwrite64"):
        address = get(vfs, name)
        if not address:
            continue
        replaced = _PWRITE(_watched(_PWRITE(address), stop))
        if put(vfs, name, ctypes.cast(replaced, ctypes.c_void_p)) != 0:
            raise RuntimeError(f"{name!r} of SQLite cannot be replaced")
        kept.append(replaced)
    if not kept:
        raise RuntimeError("this SQLite does not write by pwrite(2)")
    return kept


def _watched(pwrite: Callable[[int, int, int, int], int], stop: Stop) -> Callable[[int, int, int, int], int]:
    def write(descriptor: int, data: int, count: int, offset: int) -> int:
        file = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        if file == "queue.db":
            stop.reached("page")
        written = pwrite(descriptor, data, count, offset)
        if file == "queue.db-journal" and offset == 0:
            begin = ctypes.string_at(data, min(count, _ZEROED))
            if begin.startswith(_MAGIC):
                stop.reached("header")
            elif begin == bytes(_ZEROED) and count == _ZEROED:
                stop.reached("zeroed")
        return written

    return write


def watch_steps(stop: Stop) -> None:
    """The moments between the steps of our own program."""
    from rq_py.store import generation, successor, transaction

    stop.before("begun", transaction, "JournalLock")
    stop.before("commit", transaction.Store, "_commit")
    stop.after("committed", transaction.Store, "_commit")
    stop.before("making", successor, "_freeze")
    stop.after("frozen", successor, "_freeze")
    stop.before("drafted", successor, "_copy")
    stop.after("half-copied", successor, "_copy_file")
    stop.before("copied", successor, "_are_equal")
    stop.after("compared", successor, "_copy")
    stop.before("opened", successor, "check_version")
    stop.before("checked", successor, "_publish")
    stop.after("published", successor, "_publish")
    stop.after("pointed", generation.Generations, "point_at")


def install(action: str, moment: str, mark: str) -> list[object]:
    """Have this process stop or die at that moment; what is returned must not be freed before its end."""
    known = {name.partition(":")[0] for name in MOMENTS}
    if not known.issuperset(name.partition(":")[0] for name in moment.split(",")):
        raise SystemExit(f"stops.py: there is no moment {moment}")
    stop = Stop(action, moment, mark)
    watch_steps(stop)
    return watch_writes(stop)


if __name__ == "__main__":
    kept = install(*sys.argv[1:4])
    del sys.argv[1:4]
    from rq_py.cli.main import main

    main()
