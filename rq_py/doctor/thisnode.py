"""What this node brings along: programs, limits, and a place for its local state."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path

import rq_py
from rq_py import localstate
from rq_py.doctor import space
from rq_py.doctor.finding import Finding, advice, ok, unsafe
from rq_py.errors import RqError
from rq_py.locking.mounts import mount_of
from rq_py.queuedir import LOCAL_ROOT, local_state_path
from rq_py.store.database import LEAST_SQLITE, SQLITE_VERSION

#: Descriptors that a feeder or runner with many slots may need.
_FEW_DESCRIPTORS = 1024


def versions() -> dict[str, object]:
    """What is installed."""
    return {
        "rqpy": rq_py.__version__,
        "python": platform.python_version(),
        "sqlite": _dotted(SQLITE_VERSION),
        "kernel": platform.release(),
    }


def findings(node: str, uuid: str | None) -> Iterator[Finding]:
    """What there is to say of this node, as ``node``, and its local state for the queue ``uuid``.

    Without a queue there is no uuid, and only the place is looked at. Raises OSError.
    """
    yield _sqlite()
    yield _descriptors()
    yield from _local_state(node, uuid)


def _sqlite() -> Finding:
    """Whether SQLite is new enough."""
    least, version = _dotted(LEAST_SQLITE), _dotted(SQLITE_VERSION)
    if SQLITE_VERSION < LEAST_SQLITE:
        return unsafe(
            "sqlite",
            f"SQLite {version} is too old: rqpy needs {least}",
            "run rqpy with a Python that has a newer SQLite",
        )
    return ok("sqlite", f"SQLite {version}, {least} or newer is needed")


def _descriptors() -> Finding:
    """Whether enough files can be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < _FEW_DESCRIPTORS:
        most = "without limit" if hard < 0 else f"up to {hard}"
        return advice(
            "open_files",
            f"a process may have {soft} files open, a feeder with many slots needs more",
            f"ulimit -n {_FEW_DESCRIPTORS} ({most} without root)",
        )
    return ok("open_files", f"a process may have {'any number of' if soft < 0 else soft} files open")


def _local_state(node: str, uuid: str | None) -> Iterator[Finding]:
    """Whether feeder and runner can keep their state here."""
    check = "local_state"
    path = local_state_path(os.getuid(), node, uuid or "")
    try:
        localstate.check(path)
    except RqError as error:
        yield unsafe(check, str(error), "look who made it, then move it away: a feeder here would refuse it")
        return
    mount = mount_of(LOCAL_ROOT)
    if not mount.is_local:
        yield unsafe(
            check,
            f"{LOCAL_ROOT} is {mount.filesystem}: sockets and journals of feeders must be on this machine",
            f"mount a local disk at {LOCAL_ROOT}",
        )
        return
    place = _lowest_existing(path)
    if not os.access(place, os.W_OK | os.X_OK):
        yield unsafe(
            check, f"{place}: no permission to write: a feeder here has no place", f"chmod 1777 {place}"
        )
        return
    yield ok(check, f"{path if uuid else path.parent} is, or can be made, this user's alone")
    yield from (found for found in space.findings(place, "local_space") if found.check == "local_space")


def _lowest_existing(path: Path) -> Path:
    """``path``, or the nearest folder above it that is there."""
    return next(place for place in (path, *path.parents) if place.exists())


def _dotted(version: tuple[int, ...]) -> str:
    """3.34.0."""
    return ".".join(map(str, version))
