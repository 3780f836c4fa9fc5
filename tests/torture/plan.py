"""What a torture is to be: its sizes, its leases, and the random choices that follow from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """All durations are seconds."""

    seconds: float
    seed: str
    folder: Path
    feeders: int = 3
    slots: int = 4
    submitters: int = 2
    lock_lease: float = 2.0
    node_lease: float = 30.0
    settle: float = 300.0  #: until everything has come to an end, after the faults have
    mutant: str = ""

    def chance(self, name: str) -> random.Random:
        """The choices of one part of the torture: the same for the same seed."""
        return random.Random(f"{self.seed} {name}")

    @property
    def prefix(self) -> str:
        """How the names of all nodes of this torture begin."""
        return f"torture-{self.folder.name[-8:]}"

    @property
    def lock_bound(self) -> float:
        """The longest time that somebody may wait for the lock.

        A stopped holder costs a lease and a copy; a few may be stopped one after the other. The rest is for a
        machine that does other things as well.
        """
        return 5 * self.lock_lease + 30.0
