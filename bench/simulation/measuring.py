"""Measures all costs on this machine, and what is known of the machine itself."""

from __future__ import annotations

from bench.lab import Lab
from bench.simulation import jobcosts, transactioncosts
from bench.simulation.costs import Costs
from rq_py.locking.mounts import mount_of


def measure(lab: Lab) -> Costs:
    """The costs on the disk under the lab's folder. Some 40 s on a local disk. Raises CannotRun."""
    with lab.folder() as folder:
        under_lock = transactioncosts.measure(folder)
    is_shared = not mount_of(lab.scratch).is_local
    return Costs(**under_lock, **jobcosts.measure(lab, under_lock), is_shared=is_shared)
