"""The short form for every change: load, SIGKILL of feeder, runner and submitter, and a server's reboot."""

from __future__ import annotations

from tests.nfs.lab.cluster import Lab, Plan
from tests.nfs.lab.progress import wait_for_attempts
from tests.nfs.lab.trial import Trial

VERSIONS = ("4.2",)
PLAN = Plan(clients=2)


def scenario(lab: Lab, jobs: int = 120) -> None:
    """The faults come one after the other, each in the middle of the work."""
    trial = Trial(lab)
    one, two = lab.clients
    left, right = trial.feeder(one, max_feed=4), trial.feeder(two, max_feed=4)
    for client in lab.clients:
        trial.submitter(client, jobs // 2, batch=10)
    left.start()
    right.start()
    trial.wait_until_up()

    seen = wait_for_attempts(lab, jobs // 20)
    left.kill()
    left.start()
    right.kill_runner()
    seen = wait_for_attempts(lab, seen + jobs // 10)
    lab.server.reboot()
    wait_for_attempts(lab, seen + jobs // 10)

    third = trial.submitter(one, jobs, batch=5)
    lab.wait_until(lambda: one.processes("submit --output"))
    one.kill(third)
    trial.rest()
    verdict = trial.judge()
    # A submit during the outage may have failed, and one of the third submitter's may be in: both are right.
    assert verdict.jobs > jobs // 2, verdict
