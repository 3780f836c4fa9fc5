"""The ring: each feeder watches the two that follow it, so that a lost node is noticed by its neighbours.

The cost of watching stays linear in the number of nodes. The watched names come from ``Q/feeders`` and from
the database: a feeder whose lease somebody deleted while jobs run under its name counts as well.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from rq_py.locking.looks import Watch

#: Seconds between two looks; ``looks`` counts only those that come less than 5 s apart.
LOOK_EVERY = 3.0
#: How many feeders each one watches.
WATCHED = 2


class Ring:
    """Watches the leases of the next feeders after ``own``; ``node_lease`` is in seconds."""

    def __init__(self, folder: Path, own: str, node_lease: float) -> None:
        self._folder = folder
        self._own = own
        self._node_lease = node_lease
        self._watches: dict[str, Watch] = {}

    def choose(self, with_running: Collection[str]) -> None:
        """Look anew who follows; ``with_running`` are the feeders that the database has running jobs of."""
        try:
            leases = {name for name in os.listdir(self._folder) if not name.startswith(".")}
        except OSError:
            return  # an outage proves nothing about anybody: keep watching the same
        others = sorted((leases | set(with_running)) - {self._own})
        following = [name for name in others if name > self._own] + [
            name for name in others if name < self._own
        ]
        self._watches = {
            name: self._watches.get(name) or Watch(self._folder / name) for name in following[:WATCHED]
        }

    def look(self) -> list[str]:
        """Take one look at each; the names whose lease did not change for a whole ``node_lease``."""
        lost = []
        for name, watch in self._watches.items():
            watch.look()
            if watch.unchanged_seconds >= self._node_lease:
                lost.append(name)
        return lost

    def is_unchanged(self, name: str) -> bool:
        """Whether the lease of ``name`` is still as the last look saw it; False where that cannot be seen."""
        before = self._watches[name].content
        now = Watch(self._folder / name)
        now.look()
        return now.is_gone if before is None else now.content == before

    def forget(self, name: str) -> None:
        """Stop watching ``name``: it was buried, and its lease removed."""
        self._watches.pop(name, None)
