"""What two doctors on two nodes try together: locks, ranges, what one writes and the other reads, clocks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rq_py import __version__
from rq_py.doctor import holder, message
from rq_py.doctor.finding import Finding, advice, ok, unknown, unsafe
from rq_py.doctor.holder import EXCLUSIVE, GRANTED, NONE, REFUSED, attempt
from rq_py.doctor.meeting import LOCK, PAGE, Dialogue, Lost, Meeting
from rq_py.locking.mounts import Mount

#: The bytes that are locked by one, and others that the other one may have.
_TAKEN, _FREE = (0, 10), (20, 10)
#: Seconds for which a lock that was dropped may seem held.
_PATIENCE = 5.0
_SEEN, _STALE = "seen", "stale"


@dataclass(slots=True)
class Tried:
    """What came of it on one side: answers of ``holder.attempt``, and whether the page was fresh."""

    own: str = ""  # its own lock, for the other one to try
    held: str = ""  # a lock on bytes that the other one holds
    beside: str = ""  # ... on other bytes of the same file
    dropped: str = ""  # ... on the bytes, after the other one has dropped them
    page: str = ""  # whether what the other one wrote was read at once


def examine(meeting: Meeting, seconds: float, mount: Mount, facts: dict[str, object]) -> Iterator[Finding]:
    """Wait for another doctor, at most ``seconds``, and try everything with it. Raises OSError."""
    dialogue = meeting.find(seconds)
    if dialogue is None:
        yield _nobody(meeting, seconds, mount)
        return
    other = dialogue.other
    facts |= {"node": other.node, "rqpy": other.version, "same_kernel": other.boot == dialogue.me.boot}
    try:
        mine, theirs = _first(dialogue) if dialogue.is_first else _second(dialogue)
    except (Lost, ValueError):  # ... or what it says makes no sense
        yield unknown(
            "peer",
            f"met {other.node}, which then went away, or spoke with a third one",
            "run doctor --peer on two nodes at a time, and interrupt neither",
        )
        return
    facts |= dialogue.skew.facts()
    yield _met(dialogue, mount)
    yield _locks(dialogue, mine, theirs)
    yield _pages(dialogue, mine, theirs)
    yield _clocks(dialogue)


def _first(dialogue: Dialogue) -> tuple[Tried, Tried]:
    """The part of the one that speaks first; returns what came of it here and there."""
    mine = Tried()
    message.read(dialogue.theirs / PAGE)  # into this client's cache
    with _locked(dialogue.mine / LOCK) as mine.own:
        dialogue.say(mine.own)
        held, beside = dialogue.hear()
    dialogue.say("dropped")
    dropped, own = dialogue.hear()
    mine.held, mine.beside = _try_held(dialogue.theirs / LOCK)
    dialogue.say(mine.held, mine.beside)
    (page,) = dialogue.hear()
    mine.dropped, mine.page = _try_dropped(dialogue.theirs / LOCK), _compare(dialogue.theirs / PAGE, page)
    dialogue.say(mine.dropped, mine.page, _write_page(dialogue.mine / PAGE))
    (seen,) = dialogue.hear()
    return mine, Tried(own, held, beside, dropped, seen)


def _second(dialogue: Dialogue) -> tuple[Tried, Tried]:
    """The part of the one that speaks second; returns what came of it here and there."""
    mine = Tried()
    (own,) = dialogue.hear()
    message.read(dialogue.theirs / PAGE)  # into this client's cache
    mine.held, mine.beside = _try_held(dialogue.theirs / LOCK)
    dialogue.say(mine.held, mine.beside)
    dialogue.hear()
    mine.dropped = _try_dropped(dialogue.theirs / LOCK)
    with _locked(dialogue.mine / LOCK) as mine.own:
        dialogue.say(mine.dropped, mine.own)
        held, beside = dialogue.hear()
    dialogue.say(_write_page(dialogue.mine / PAGE))
    dropped, seen, page = dialogue.hear()
    mine.page = _compare(dialogue.theirs / PAGE, page)
    dialogue.say(mine.page)
    dialogue.part()
    return mine, Tried(own, held, beside, dropped, seen)


@contextmanager
def _locked(path: Path) -> Iterator[str]:
    """Hold the lock that the other one tries to get; yields whether it was had. Raises OSError."""
    descriptor = _open(path)
    try:
        yield attempt(descriptor, EXCLUSIVE, *_TAKEN)
        attempt(descriptor, NONE, *_TAKEN)
    finally:
        os.close(descriptor)


def _try_held(path: Path) -> tuple[str, str]:
    """Try to lock what the other one holds, and what it does not. Raises OSError."""
    descriptor = _open(path)
    try:
        return attempt(descriptor, EXCLUSIVE, *_TAKEN), attempt(descriptor, EXCLUSIVE, *_FREE)
    finally:
        os.close(descriptor)


def _try_dropped(path: Path) -> str:
    """Try to lock what the other one has dropped. Raises OSError."""
    descriptor = _open(path)
    deadline = time.monotonic() + _PATIENCE
    try:
        while (answer := attempt(descriptor, EXCLUSIVE, *_TAKEN)) == REFUSED and time.monotonic() < deadline:
            time.sleep(0.05)
        return answer
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)


def _write_page(path: Path) -> str:
    """Write another page of the same size and return it. Raises OSError."""
    page = os.urandom(8).hex()
    message.write(path, page.encode())
    return page


def _compare(path: Path, page: str) -> str:
    """Whether the other one's page reads as it says. Raises OSError."""
    return _SEEN if message.read(path) == page.encode() else _STALE


def _nobody(meeting: Meeting, seconds: float, mount: Mount) -> Finding:
    """The finding where no other doctor came."""
    what = f"no other node ran doctor --peer here within {seconds:.3g} s"
    do = "run it on another node at the same time, on the same directory, as a user who can write it"
    if meeting.saw_namesake:
        what += f"; one came, but its node is called {meeting.me.node}, too"
        do = "run it on another machine; where host names are the same, set RQ_NODE"
    elif mount.is_local:
        what += f"; {mount.filesystem} at {mount.point} is local, so no other machine sees it"
    return unknown("peer", what, do)


def _met(dialogue: Dialogue, mount: Mount) -> Finding:
    """Whom this doctor has met, and whether that proves anything."""
    other = dialogue.other
    if other.boot == dialogue.me.boot and not mount.is_local:
        return advice(
            "peer",
            f"met {other.node}, which runs on the very kernel of this node: the file server was hardly asked",
            "run doctor --peer on two machines",
        )
    if other.version != __version__:
        return advice(
            "peer",
            f"met {other.node}, which has rqpy {other.version}, and this node {__version__}",
            "install one version for all nodes: bin/install PREFIX",
        )
    return ok("peer", f"met {other.node}")


def _locks(dialogue: Dialogue, mine: Tried, theirs: Tried) -> Finding:
    """Whether locks exclude the other node, both ways."""
    check = "peer_locks"
    do = "mount it without nolock and local_lock on both nodes, from the same server; check its lock service"
    here, there = dialogue.me.node, dialogue.other.node
    for tried, who in ((mine, here), (theirs, there)):
        if tried.own != GRANTED:
            return unsafe(check, f"{who} could not lock its own file: {holder.said(tried.own)}", do)
    for tried, who, whose in ((mine, here, there), (theirs, there, here)):
        if tried.held == GRANTED:
            return unsafe(check, f"{who} got a lock that {whose} held: locks exclude nobody across nodes", do)
        for answer in (tried.held, tried.beside, tried.dropped):
            if answer not in (GRANTED, REFUSED):
                return unsafe(check, f"{who} could not lock a file of {whose}: {holder.said(answer)}", do)
        if tried.beside == REFUSED:
            return unsafe(check, f"{who} could not lock bytes of a file of which {whose} held others", do)
        if tried.dropped == REFUSED:
            return unsafe(
                check, f"{who} could not get a lock within {_PATIENCE:.0f} s after {whose} let go", do
            )
    return ok(check, f"a lock of {here} keeps {there} out and the other way round; parts of a file are apart")


def _pages(dialogue: Dialogue, mine: Tried, theirs: Tried) -> Finding:
    """Whether what one wrote and closed is what the other one reads when it opens."""
    here, there = dialogue.me.node, dialogue.other.node
    for tried, who, whose in ((mine, here, there), (theirs, there, here)):
        if tried.page != _SEEN:
            return unsafe(
                "peer_writes",
                f"{who} opened a file and read what {whose} had overwritten before",
                "mount it without nocto on both nodes; use a file system with close-to-open consistency",
            )
    return ok(
        "peer_writes", f"what {here} wrote was there when {there} opened the file, and the other way round"
    )


def _clocks(dialogue: Dialogue) -> Finding:
    """By how much the clocks differ."""
    check, skew = "peer_clock", dialogue.skew
    what = f"the clock of {dialogue.other.node} is {skew.text(f'that of {dialogue.me.node}')}"
    if skew.is_small:
        return ok(check, what)
    return advice(
        check,
        f"{what}: rqpy compares them nowhere, but listings show them",
        "run NTP (chrony) on all nodes",
    )
