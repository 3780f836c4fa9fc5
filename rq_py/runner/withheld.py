"""Exits that are held back until nothing of their job is left.

Who hears of an exit may run the job anew, or forget it. So where its shell was told to end, for a reason that
the exit is to say (``Tree.verdict``), the exit waits for the whole tree.
"""

from __future__ import annotations

import math

from rq_py.runner.identity import boottime
from rq_py.runner.journal import Record
from rq_py.runner.processes import Look
from rq_py.runner.shell import Shell

#: Seconds between two looks at all processes of the machine, which are for all of these exits at once.
LOOK_SECONDS = 0.5


class Withheld:
    """The exits of shells that have ended and were reaped."""

    def __init__(self) -> None:
        self._exits: list[tuple[Shell, Record]] = []
        self._look_at = -math.inf  # not before this (CLOCK_BOOTTIME)

    def add(self, shell: Shell, record: Record) -> None:
        """Hold the exit of ``shell`` back, if there is a reason to; ``take`` tells."""
        self._exits.append((shell, record))

    def take(self) -> list[tuple[Shell, Record]]:
        """Return the exits that nothing holds back any more, in the order in which they came."""
        look = self._look_where_due()
        exits, self._exits = self._exits, []
        taken = []
        for shell, record in exits:
            if shell.tree.verdict and (look is None or shell.tree.members(look)):
                self._exits.append((shell, record))
            else:
                taken.append((shell, record))
        return taken

    def next_look(self) -> float:
        """Return the ``boottime()`` at which to ``take`` again, whatever happens; infinity for never."""
        return self._look_at if self._exits else math.inf

    def _look_where_due(self) -> Look | None:
        """All processes, where there is somebody to look for, and it is time to, and they can be seen."""
        now = boottime()
        if now < self._look_at or not any(shell.tree.verdict for shell, _ in self._exits):
            return None
        self._look_at = now + LOOK_SECONDS
        try:
            return Look()
        except OSError:
            return None
