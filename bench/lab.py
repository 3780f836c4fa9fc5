"""What a case gets from the harness: how large to be, folders, the peers, a meter for whole processes."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.metering import Meter

if TYPE_CHECKING:
    from bench.peers.peer import Peer

#: How many jobs run at once, in every case and with every peer that can.
SLOTS = 2

RQPY = [str(Path(sys.executable).with_name("rqpy"))]


@dataclass
class Lab:
    """``scratch``: this run's folder on the disk that is measured; ``scale`` divides sizes for a trial.

    ``rounds`` is how often everybody has a turn in the present case.
    """

    scratch: Path
    peers: list[Peer]
    short: bool = False
    cache: Path = field(default_factory=Path)
    scale: float = 1.0
    rounds: int = 1
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def size(self, full: int, short: int | None = None) -> int:
        """How many jobs: of a full run, or of a short one (which is as long unless given)."""
        wanted = short if self.short and short is not None else full
        return max(int(wanted / self.scale), 10)

    def seconds(self, full: float, short: float) -> float:
        """How long to watch something: in a full run, or in a short one."""
        return max((short if self.short else full) / self.scale, 2.0)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty folder for the time of a ``with`` block."""
        path = self.scratch / f"{next(self._numbers)}"
        path.mkdir(mode=0o755)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def meter(self, stack: ExitStack) -> Meter:
        """A meter until the end of the case."""
        return stack.enter_context(Meter())


def node_name(number: int | None = None) -> str:
    """The node of this run, or one of several: no queue and no feeder of the user is met under it."""
    return f"bench-{os.getpid()}" + ("" if number is None else f"-{number}")
