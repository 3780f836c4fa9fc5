"""The orders that wait for a slot: each is launched as soon as fewer jobs run than there are slots.

A feeder that claims ahead hands over more jobs than it has slots, so that a free slot does not wait for the
feeder's next transaction. An order that waits has executed nothing and is not in the journal. It lives in
this process's memory only and is dropped when its feeder goes, so its absence from the journal stays the
proof that it was never launched.
"""

from __future__ import annotations

from collections.abc import Sequence

from rq_py.runner.deadman import DeadMan
from rq_py.runner.identity import boottime
from rq_py.runner.journal import Key, Record
from rq_py.runner.shells import Order, Shells

#: Most orders that may wait.
MAX_ORDERS = 1024

#: A job that was not launched, and why.
Refusal = tuple[Key, str]

_OVERDUE = "the node's lease was not renewed in time"


class Orders:
    """What waits, in the order in which it was given, and ``slots``: how many jobs may run at a time."""

    def __init__(self, shells: Shells, deadman: DeadMan) -> None:
        self._shells = shells
        self._deadman = deadman
        self._waiting: dict[Key, Order] = {}
        self._slots = 0
        self._few = 0
        #: Jobs that have waited, were launched since, and have not ended.
        self.begun: dict[Key, Record] = {}
        self.refusals: list[Refusal] = []  #: orders that waited and will not be launched

    @property
    def wait(self) -> bool:
        """Whether any order waits."""
        return bool(self._waiting)

    @property
    def are_plenty(self) -> bool:
        """Whether so many orders wait that the feeder has time before the slots run dry."""
        return len(self._waiting) > self._few

    def take(self, orders: Sequence[Order], slots: int) -> tuple[list[Key], list[Refusal]]:
        """Launch the orders that name a shell, have the others wait; return which were launched or refused.

        ``slots`` holds from now on.
        """
        self._slots = slots
        named = [order for order in orders if order.pid is not None]
        launched, refused = self._launch(named, have_waited=False)
        for order in orders:
            if order.pid is None:
                if len(self._waiting) >= MAX_ORDERS:
                    refused.append((order.key, f"{MAX_ORDERS} orders wait already"))
                elif order.key in self._waiting:
                    refused.append((order.key, "this attempt waits already"))
                else:
                    self._waiting[order.key] = order
        self.launch_waiting()
        self._few = len(self._waiting) // 2
        return launched, refused

    def launch_waiting(self) -> None:
        """Launch orders while fewer jobs run than there are slots; ``begun`` and ``refusals`` tell which."""
        while self._waiting and self._shells.going_count < self._slots:
            free = self._slots - self._shells.going_count
            orders = [self._waiting.pop(key) for key in list(self._waiting)[:free]]
            launched, refused = self._launch(orders, have_waited=True)
            self.begun.update((key, self._shells.job(key)) for key in launched)
            self.refusals += refused

    def withdraw(self) -> list[Key]:
        """Drop everything that waits and return it: it was never launched, and never will be."""
        keys = list(self._waiting)
        self._waiting.clear()
        return keys

    def refuse_all(self) -> None:
        """The lease was in doubt while they waited, so others may have them; ``refusals`` tells."""
        self.refusals += [(key, _OVERDUE) for key in self.withdraw()]

    def drop(self, key: Key) -> None:
        """Drop one order, if it waits; ``refusals`` tells."""
        if self._waiting.pop(key, None):
            self.refusals.append((key, "it was killed before its launch"))

    def forget(self) -> None:
        """The feeder is gone, or begins anew: drop what waits and what it was to be told."""
        self.withdraw()
        self.begun.clear()
        self.refusals.clear()

    def _launch(self, orders: Sequence[Order], *, have_waited: bool) -> tuple[list[Key], list[Refusal]]:
        """Launch ``orders`` now; where the lease is in doubt, none that is restartable or has waited.

        What has waited may have been given up by others since, and be run again by its owner.
        """
        overdue = self._deadman.look(boottime())
        allowed = [order for order in orders if not (overdue and (have_waited or order.restartable))]
        refused = [(order.key, _OVERDUE) for order in orders if order not in allowed]
        launched = []
        for order, error in zip(allowed, self._shells.launch(allowed), strict=True):
            if error is None:
                launched.append(order.key)
            else:
                refused.append((order.key, error))
        return launched, refused
