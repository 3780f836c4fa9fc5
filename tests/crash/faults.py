"""The faults of a sweep: which calls each is about, and what becomes of the n-th of them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import rq_py
from tests.crash.calls import Call
from tests.crash.tracer import GO, Deed, Fail, Kill, Shorten

#: Where an interpreter reads itself.
_PROGRAMS = (sys.prefix, sys.base_prefix, str(Path(rq_py.__file__).parent.parent), "/usr/lib", "/lib", "/etc")
#: How often in a row a call is interrupted that is interrupted persistently: for ever would be a hang.
_INTERRUPTIONS = 20


def _any_file(call: Call) -> bool:
    return call.kind.where != "-"


def _needs_space(call: Call) -> bool:
    return call.creates or call.kind.does in "ws" or (call.kind.name == "close" and _is_written(call))


def _is_written(call: Call) -> bool:
    """Whether the descriptor that is closed was open for writing: NFS tells then what it could not write."""
    try:
        text = Path(f"/proc/{call.pid}/fdinfo/{call.arguments[0]}").read_text(encoding="ascii")
    except OSError:
        return False
    flags = next(line.split()[1] for line in text.splitlines() if line.startswith("flags:"))
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY


def _is_slow(call: Call) -> bool:
    """Whether a signal can interrupt it."""
    return call.is_lock or call.kind.does in "ws" or call.kind.name in {"open", "openat", "read", "pread64"}


def _is_lock(call: Call) -> bool:
    return call.is_lock


def _writes_bytes(call: Call) -> bool:
    return call.kind.name in {"write", "pwrite64"} and call.arguments[2] > 1


def _everything(_call: Call) -> bool:
    return True


def _effects(call: Call) -> bool:
    return call.has_effect


def _failing(number: int) -> Callable[[Call], Deed]:
    return lambda _call: Fail(number)


def _kill(_call: Call) -> Deed:
    return Kill()


def _halve(call: Call) -> Deed:
    return Shorten(call.arguments[2] // 2)


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault: to which calls it can happen, and what it does; ``within`` asks for our own files."""

    name: str
    happens_to: Callable[[Call], bool]
    deed: Callable[[Call], Deed]
    within: bool = True
    times: int = sys.maxsize  #: how often in a row, when it is persistent


#: Before a call that has an effect: a kill before any other leaves what a kill before the next of these does.
KILL = Fault("kill", _effects, _kill, within=False)
KILL_EVERYWHERE = Fault("kill", _everything, _kill, within=False)
ERRORS = {
    fault.name: fault
    for fault in (
        Fault("EIO", _any_file, _failing(errno.EIO)),
        Fault("ESTALE", _any_file, _failing(errno.ESTALE)),
        Fault("ENOSPC", _needs_space, _failing(errno.ENOSPC)),
        Fault("EDQUOT", _needs_space, _failing(errno.EDQUOT)),
        Fault("ENOLCK", _is_lock, _failing(errno.ENOLCK)),
        Fault("EINTR", _is_slow, _failing(errno.EINTR), times=_INTERRUPTIONS),
        Fault("short", _writes_bytes, _halve),
    )
}


@dataclass
class Point:
    """The ``n``-th call to which ``fault`` can happen, from 1, and from the first that touches ``roots`` on.

    ``n`` of 0 is none: all calls are made, and ``seen`` is how many there are. ``hit`` is the call it was.
    """

    fault: Fault
    n: int
    roots: tuple[str, ...]
    persistent: bool = False
    is_over: Callable[[], bool] = field(default=lambda: False)
    seen: int = 0
    hit: str = ""
    _begun: bool = False
    _done: int = 0

    def judge(self, call: Call) -> Deed:
        """What becomes of the call."""
        path = call.path()
        ours = path.startswith(self.roots)
        self._begun = self._begun or ours
        if not self._begun or (self.fault.within and not ours) or path.startswith(_PROGRAMS):
            return GO
        if not self.fault.happens_to(call):
            return GO
        self.seen += 1
        if self.n == 0 or self.seen < self.n or (self.seen > self.n and not self.persistent):
            return GO
        if self._done >= self.fault.times or self.is_over():
            return GO
        self._done += 1
        self.hit = self.hit or str(call)
        return self.fault.deed(call)
