"""Load without a fault: two clients, two feeders on each, two submitters; each job runs once."""

from __future__ import annotations

from tests.nfs.lab.cluster import Lab, Plan
from tests.nfs.lab.trial import Trial

VERSIONS = ("3", "4.0", "4.1", "4.2")
PLAN = Plan(clients=2)


def scenario(lab: Lab, jobs: int = 500) -> None:
    """Half of the jobs from each of two clients, while the feeders run."""
    trial = Trial(lab)
    for client in lab.clients:
        trial.submitter(client, jobs // 2)
        for letter in "xy":
            trial.feeder(client, f"{client.name}{letter}", max_feed=6).start()
    trial.wait_until_up()
    trial.rest(least=jobs, deadline=1200)
    verdict = trial.judge()
    assert verdict.jobs == verdict.attempts == verdict.states["finished"] == jobs, verdict
