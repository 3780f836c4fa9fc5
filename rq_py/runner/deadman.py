"""The dead man's switch: ends the restartable jobs when no lease renewal was reported in time.

Others may start those jobs again once the node's lease has run out, so they must be gone before that: at
half of the lease they get SIGTERM, five seconds later, or at the lease's end if that is sooner, SIGKILL.
On a machine that was frozen past the lease's end they get both the moment it wakes up, also where its clocks
stood still with it (see standstill.py).
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Sequence

from rq_py.runner.processes import Process, Tree, signal_trees
from rq_py.runner.standstill import StandStill

#: Seconds between SIGTERM and SIGKILL, and between one SIGKILL and the next while something is left.
GRACE_SECONDS = 5.0

#: A poll's timeout stands still while the machine is suspended. So with a deadline ahead the loop looks at
#: the clock this often, in seconds; the design allows a frozen node one second after it wakes up.
LOOK_SECONDS = 0.5


class DeadMan:
    """Keeps the time of the last renewal, by CLOCK_BOOTTIME, and the trees that were told to end."""

    def __init__(self, log: Callable[[str], None], stand_still: StandStill) -> None:
        self._log = log
        self._stand_still = stand_still
        self._looked_at = -math.inf
        self._woke_at = -math.inf
        self._lease = math.inf
        self._renewed = 0.0
        self._told: set[Process] = set()
        self._ending: list[tuple[float, Sequence[Tree]]] = []  # with the time of the next SIGKILL

    @property
    def busy(self) -> bool:
        """Whether something was told to end and may still be there."""
        return bool(self._ending)

    def renew(self, lease: float, at: float, now: float) -> None:
        """Take note that the lease of ``lease`` seconds was renewed at ``at``, which is in the past.

        Out of order, the later one counts. None from before a stand-still counts that is heard after it.
        """
        if at < self._woke_at:
            return
        self._renewed = max(self._renewed, min(at, now))
        self._lease = lease

    def look(self, now: float) -> bool:
        """Look at the clocks; then tell whether half of the lease has passed since the last renewal.

        Never before the first one. From outside there is no other way to ask, so that nobody forgets to look.
        """
        if now >= self._looked_at + LOOK_SECONDS:
            self._looked_at = now
            self._age(self._stand_still.look(now), now)
        return self._is_overdue(now)

    def _age(self, seconds: float, now: float) -> None:
        """The machine stood still for so long: the last renewal is older than its clocks say."""
        if seconds:
            self._log(
                f"this machine stood still for {seconds:.0f} s, and its clocks with it; or somebody has set "
                "both of them forward"
            )
            self._renewed -= seconds
            self._woke_at = now

    def _is_overdue(self, now: float) -> bool:
        return now >= self._renewed + self._lease / 2

    def next_deadline(self, now: float, *, any_restartable: bool) -> float:
        """Return the ``boottime()`` at which ``tick`` has to be called next, or infinity."""
        first = min((kill_at for kill_at, _ in self._ending), default=math.inf)
        if any_restartable and not self._is_overdue(now):  # overdue ones were told to end by the last tick
            first = min(first, self._renewed + self._lease / 2)
        return first if first == math.inf else min(first, now + LOOK_SECONDS)

    def tick(self, now: float, restartable: Callable[[], Sequence[Tree]]) -> None:
        """End what has to end at ``now``; ``restartable`` returns the trees of the running restartable jobs.

        Raises:
            OSError: /proc cannot be read.

        """
        if self.look(now):
            trees = restartable()
            new = [tree for tree in trees if (tree.pid, tree.start) not in self._told]
            self._told = {(tree.pid, tree.start) for tree in trees}
            if new:
                self._log(
                    f"lease not renewed for {now - self._renewed:.1f} s: {len(new)} restartable jobs end"
                )
                signal_trees(new, signal.SIGTERM)
                for tree in new:
                    tree.is_condemned = (tree.pid, tree.start) in tree.reached
                signal_trees(new, signal.SIGCONT)  # a stopped process does not act on SIGTERM
                self._ending.append((min(now + GRACE_SECONDS, self._renewed + self._lease), new))
        for due in [entry for entry in self._ending if entry[0] <= now]:
            self._ending.remove(due)
            if signal_trees(due[1], signal.SIGKILL):
                self._ending.append((now + GRACE_SECONDS, due[1]))
