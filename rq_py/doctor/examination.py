"""One examination: all checks in order, each of which may fail without stopping the others."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rq_py import settings as settings_file
from rq_py.doctor import access, files, locks, mounted, peer, queuestate, space, thisnode
from rq_py.doctor.finding import Finding, Verdict, ok, unknown, unsafe, worst
from rq_py.doctor.meeting import Meeting
from rq_py.doctor.scratch import Modes, Scratch, scratch_in, tidy
from rq_py.errors import LockTimeout, NotAQueue, QueueError, RqError
from rq_py.locking.mounts import Mount, mount_of, recovers_lost_locks
from rq_py.locking.owner import node_name
from rq_py.queuedir import QueueDir
from rq_py.settings import Settings

#: What needs a place to write.
_TRIALS = ("locks", "fsync", "rename", "exclusive_creation", "modes", "server_clock")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)

_NOTE_SYNC = (
    "Whether the server has a write on its disk before it says so (export option sync) no client can see: "
    "ask exportfs -v on the server. With async, acknowledged submits are lost when it crashes."
)
_NOTE_INTEGRITY = "The database itself is checked, and repaired where needed, by: rqpy QUEUE recover"
_NOTE_PEER = "Whether locks hold between nodes is tried by doctor --peer, on two nodes at the same time."


@dataclass(slots=True)
class Report:
    """What was found out."""

    facts: dict[str, object] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def peer_missing(self) -> str:
        """Why nothing was tried with another node, where that was wanted."""
        return next(
            (
                found.what
                for found in self.findings
                if found.check == "peer" and found.verdict is Verdict.UNKNOWN
            ),
            "",
        )

    @property
    def is_unsafe(self) -> bool:
        """Whether a queue there would break a promise."""
        return worst(self.findings) is Verdict.UNSAFE

    def document(self) -> dict[str, object]:
        """The report as it is printed."""
        return {
            **self.facts,
            "verdict": str(worst(self.findings)),
            "findings": [finding.as_mapping() for finding in self.findings],
            "notes": self.notes,
        }


def examine(path: Path, *, peer_seconds: float | None = None) -> Report:
    """Examine the queue, or the directory, at the absolute ``path``. Nothing in it is different afterwards.

    With ``peer_seconds`` it also waits so long for a doctor on another node. Raises NotAQueue where there
    is no such directory, UsageError for a wrong node name.
    """
    node = node_name()
    if not path.is_dir():
        raise NotAQueue(f"{path}: no such directory: name a queue, or the directory in which one shall be")
    mount = mount_of(path)
    report = Report({"path": str(path), "node": node, "uid": os.geteuid()})
    settings = _settings(path, report)
    report.facts |= {"filesystem": mounted.facts(mount), "versions": thisnode.versions()}
    add = report.findings.extend
    add(mounted.findings(mount, recovers_lost_locks=recovers_lost_locks()))
    with ExitStack() as stack:
        scratch = _scratch(path, settings, mount, report, stack)
        if scratch is not None:
            add(_trials(scratch, mount, report.facts))
            if peer_seconds is not None:
                add(_guarded("peer", mount, lambda: _peer(scratch, node, peer_seconds, mount, report)))
    if scratch is None and peer_seconds is not None:
        add([unknown("peer", "not tried: nothing can be written there", "see the other checks")])
    add(_guarded("space", mount, lambda: _space(path, report.facts)))
    add(_guarded("writers", mount, lambda: access.findings(path, settings)))
    add(_guarded("local_state", mount, lambda: thisnode.findings(node, settings.uuid if settings else None)))
    if settings is not None:
        add(_guarded("generation", mount, lambda: queuestate.findings(QueueDir(path), settings)))
    report.notes += [_NOTE_SYNC] if not mount.is_local else []
    report.notes += [_NOTE_INTEGRITY] if settings is not None else []
    report.notes += [_NOTE_PEER] if peer_seconds is None and not mount.is_local else []
    return report


def _settings(path: Path, report: Report) -> Settings | None:
    """The settings of the queue; None where it is none, or one that cannot be used."""
    directory = QueueDir(path)
    report.facts["queue"] = False
    if not os.path.lexists(directory.settings):
        return None
    try:
        settings = settings_file.read(directory.settings)
        report.facts["queue"] = queuestate.facts(directory, settings)
    except QueueError as error:
        report.findings.append(
            unsafe("settings", str(error), "restore queue.yml from a backup, or upgrade rqpy")
        )
        return None
    except (RqError, OSError) as error:
        report.findings.append(unknown("settings", _text(error), "run it as a user who can read the queue"))
        return None
    return settings


def _scratch(
    path: Path, settings: Settings | None, mount: Mount, report: Report, stack: ExitStack
) -> Scratch | None:
    """A folder to try things in, and what is older tidied; None, and findings, where it cannot be made."""
    try:
        scratch = stack.enter_context(scratch_in(path, _modes(path, settings)))
    except OSError as error:
        if error.errno in _NO_ROOM:
            report.findings.append(space.full(path, error.strerror or "no room"))
        why, do = _obstacle(error, mount)
        report.findings += [unknown(check, f"not tried: {why}", do) for check in _TRIALS]
        return None
    # A directory that was just made has the file server's own time.
    removed = tidy(path, scratch.folder.stat().st_mtime)
    if removed:
        report.findings.append(
            ok("tidied", f"{removed} entries of doctors that were killed a day ago are removed")
        )
    return scratch


def _modes(path: Path, settings: Settings | None) -> Modes:
    """Modes with which whoever shares the directory shares what is made in it."""
    if settings is not None:
        return Modes(settings.directory_mode, settings.file_mode)
    is_shared = path.stat().st_mode & (stat.S_IWGRP | stat.S_ISGID) == stat.S_IWGRP | stat.S_ISGID
    return Modes(0o2770, 0o660) if is_shared else Modes(0o700, 0o600)


def _trials(scratch: Scratch, mount: Mount, measured: dict[str, object]) -> Iterator[Finding]:
    """Everything that is tried in the scratch folder."""
    path = scratch.directory
    yield from _guarded("space", mount, lambda: space.trial(scratch.folder, path))
    yield from _guarded("locks", mount, lambda: locks.findings(scratch.file("lock")))
    yield from _guarded("fsync", mount, lambda: [files.fsync(scratch, measured)])
    yield from _guarded("rename", mount, lambda: [files.rename(scratch)])
    yield from _guarded("exclusive_creation", mount, lambda: [files.exclusive_creation(scratch)])
    yield from _guarded("modes", mount, lambda: [files.modes(scratch)])
    yield from _guarded("server_clock", mount, lambda: [files.server_clock(scratch, measured)])


def _guarded(check: str, mount: Mount, produce: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of a check, and one more where it failed."""
    try:
        yield from produce()
    except OSError as error:
        if error.errno in (*_NO_ROOM, *_NO_PERMISSION):
            why, do = _obstacle(error, mount)
            yield unknown(check, f"not tried: {why}", do)
        else:
            yield unsafe(
                check, f"failed: {_text(error)}", "see the kernel's log (dmesg) and the file server's"
            )
    except LockTimeout as error:
        yield unknown(check, f"not tried: {error}", "try again")


def _obstacle(error: OSError, mount: Mount) -> tuple[str, str]:
    """Why something could not be tried, and what to do."""
    if error.errno in _NO_ROOM:
        return _text(error), "make room, then try again"
    if os.geteuid() == 0 and mount.is_nfs:
        return _text(error), "run it as the user who feeds: NFS servers make nobody of root (root_squash)"
    return _text(error), "run it as a user who can write there"


def _text(error: Exception) -> str:
    """An error as a line, with its path."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _space(path: Path, facts: dict[str, object]) -> Iterator[Finding]:
    """Room in the directory."""
    facts["space"] = space.facts(path)
    yield from space.findings(path)


def _peer(scratch: Scratch, node: str, seconds: float, mount: Mount, report: Report) -> Iterator[Finding]:
    """What is tried with a doctor on another node."""
    facts: dict[str, object] = {}
    yield from peer.examine(Meeting(scratch, node), seconds, mount, facts)
    if facts:
        report.facts["peer"] = facts
