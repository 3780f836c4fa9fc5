"""Measures all costs on this machine, and what is known of the machine itself."""

from __future__ import annotations

from bench.lab import Lab
from bench.simulation import jobcosts, transactioncosts
from bench.simulation.costs import Costs


def measure(lab: Lab) -> Costs:
    """The costs on the disk under the lab's folder. Some 40 s on a local disk. Raises CannotRun."""
    with lab.folder() as folder:
        under_lock = transactioncosts.measure(folder)
    return Costs(**under_lock, **jobcosts.measure(lab, under_lock))
