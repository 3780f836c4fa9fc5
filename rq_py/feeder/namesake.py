"""Finds out at a feeder's start whether another machine feeds under the same name.

Two machines with the same host name and no RQ_NODE have one lease between them, and each would bury what the
other one runs as ``journal_lost``. So before anything is buried that this machine knows nothing about, the
lease is watched for a bit more than one renewal.
"""

from __future__ import annotations

import os
import select
from pathlib import Path

from rq_py.errors import FeederError
from rq_py.feeder.log import LOG
from rq_py.feeder.signals import Signals
from rq_py.feeder.single import FeederInfo
from rq_py.locking.looks import Watch
from rq_py.locking.owner import Owner
from rq_py.locking.record import Phase, Record
from rq_py.runner.identity import boottime

#: Seconds between two looks, and beyond one renewal: it may have failed once, or come late.
LOOK_EVERY = 1.0
MARGIN = 5.0

#: The inode number of the first pid namespace (PROC_PID_INIT_INO), which sees all processes of its boot.
_FIRST_PID_NAMESPACE = 0xEFFFFFFC


def may_live(lease: Path, killed: FeederInfo | None) -> bool:
    """Whether the owner of ``lease`` may be feeding elsewhere.

    ``killed`` was a feeder of this local state: it is dead, because the caller has its lock.
    """
    watch = Watch(lease)
    watch.look()
    if watch.is_gone:
        return False
    record = Record.decode(watch.content or b"")
    if record is None:  # unreadable, or just being written
        return True
    if record.phase is not Phase.FEEDING:
        return False
    owner = record.owner
    if killed is not None and (killed.pid, killed.start, killed.boot) == (owner.pid, owner.start, owner.boot):
        return False
    return not _is_dead(owner)


def _is_dead(owner: Owner) -> bool:
    try:
        sees_all = os.stat("/proc/self/ns/pid").st_ino == _FIRST_PID_NAMESPACE
    except OSError:
        sees_all = False
    return sees_all and owner.is_provably_dead()


def refuse(lease: Path, renewal: float, node: str, signals: Signals) -> None:
    """Watch ``lease``, which its owner renews every ``renewal`` seconds.

    Raises FeederError when it changes, or when a signal comes meanwhile.
    """
    seconds = renewal + MARGIN
    LOG.warning(
        "%s: jobs run under this name that this machine knows nothing of: "
        "watching for %.0f s whether another machine feeds as node %s",
        lease,
        seconds,
        node,
    )
    watch = Watch(lease)
    watch.look()
    seen = watch.content
    poll = select.poll()
    poll.register(signals, select.POLLIN)
    until = boottime() + 2 * seconds
    while watch.unchanged_seconds < seconds:
        if poll.poll(LOOK_EVERY * 1000):
            raise FeederError(f"told to leave while it watched {lease}")
        watch.look()
        if seen is None:
            seen = watch.content
        elif watch.content not in (seen, None):
            raise FeederError(f"another machine feeds as node {node}: give each its own RQ_NODE")
        if boottime() > until:
            raise FeederError(f"{lease}: cannot be watched: its file system is too slow or down: try again")
    LOG.info("nobody else feeds as node %s", node)
