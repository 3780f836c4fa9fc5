"""How far the jobs have come, as they have written it down themselves on their nodes' own disks."""

from __future__ import annotations

from tests.nfs.lab.cluster import EVIDENCE, Lab


def attempts(lab: Lab) -> int:
    """How many attempts have begun, on the nodes that are on. It asks nothing of the queue or the server."""
    script = f"cat {EVIDENCE}/jobs.* 2>/dev/null | grep -ac '^start ' || :"
    return sum(int(node.sh(script).out) for node in lab.nodes if node.machine.is_on)


def wait_for_attempts(lab: Lab, least: int, deadline: float = 300) -> int:
    """Wait until ``least`` attempts have begun; how many have."""
    return lab.wait_until(lambda: (begun := attempts(lab)) >= least and begun, deadline)
