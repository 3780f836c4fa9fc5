"""The server loses its power while everything runs, and boots again: nobody loses anything, all goes on.

Once for moments, so that the clients find a server in its grace period, and once for longer than every lease.
"""

from __future__ import annotations

import time

from tests.nfs.lab.cluster import LEASE, Lab, Plan
from tests.nfs.lab.progress import wait_for_attempts
from tests.nfs.lab.trial import Trial

VERSIONS = ("3", "4.2")
PLAN = Plan(clients=2)


def scenario(lab: Lab, jobs: int = 200) -> None:
    """Submitters and feeders are in the middle of their work at both crashes."""
    trial = Trial(lab)
    for client in lab.clients:
        trial.submitter(client, jobs // 2, batch=10, pause=1.0)
        trial.feeder(client, max_feed=4).start()
    trial.wait_until_up()
    seen = wait_for_attempts(lab, jobs // 20)
    lab.server.reboot()
    wait_for_attempts(lab, seen + jobs // 20)
    lab.server.power_off()
    time.sleep(2 * LEASE)  # the fault itself: an outage longer than the leases
    lab.server.boot()
    trial.rest(deadline=1200)
    verdict = trial.judge()
    assert jobs // 2 < verdict.jobs == verdict.attempts, verdict  # a submit may fail in an outage
