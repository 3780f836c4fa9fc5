"""Who owns a lock or a lease: the node, the user and the process, as it can be written down."""

from __future__ import annotations

import os
from typing import NamedTuple

from rq_py.errors import UsageError
from rq_py.job import NODE_NAME
from rq_py.runner import identity


def node_name() -> str:
    """This node's name: ``RQ_NODE`` (for tests and cloned host names), else the host name.

    Raises UsageError when it could not be part of a file name.
    """
    name = os.environ.get("RQ_NODE") or os.uname().nodename
    if not NODE_NAME.fullmatch(name):
        raise UsageError(f"node name {name!r}: must be 1-64 letters, digits and _.-: set RQ_NODE")
    return name


def feeder_id(node: str, uid: int) -> str:
    """The name of a user's feeder on a node, also the name of its lease: ``<node>.<uid>``."""
    return f"{node}.{uid}"


class Owner(NamedTuple):
    """One process on one boot of one node. ``start`` is in clock ticks since boot (proc(5), stat)."""

    node: str
    uid: int
    pid: int
    start: int
    boot: str

    @classmethod
    def of_this_process(cls) -> Owner:
        """The calling process."""
        pid = os.getpid()
        return cls(node_name(), os.getuid(), pid, identity.start_ticks(pid) or 0, identity.boot_id())

    def is_provably_dead(self) -> bool:
        """Whether this was a process of this very boot that runs no more.

        False means that nothing is known: a process of another boot or node may still have
        writes on their way to the server.
        """
        # Containers share a boot id but not their pids; the node name tells them apart.
        if self.boot != identity.boot_id() or self.node != node_name():
            return False
        return not identity.is_alive(self.pid, self.start)

    def __str__(self) -> str:
        return f"pid {self.pid} of uid {self.uid} on {self.node}"
