"""A client loses its power for ever while it holds the lock: the others go on within the lease, without loss.

On NFSv3 nobody frees that lock, so it takes a new generation; on NFSv4 the server does when its lease ends.
"""

from __future__ import annotations

import time

from tests.nfs.lab.cluster import LEASE, QUEUE, Lab, Plan
from tests.nfs.lab.progress import wait_for_attempts
from tests.nfs.lab.trial import Trial
from tests.nfs.moment import Moment, Warm, generation

VERSIONS = ("3", "4.2")
PLAN = Plan(clients=3)

#: Seconds that a submit may take besides the lease that it waits for: machines under emulation are slow.
_SLOWNESS = 60


def scenario(lab: Lab, holding: int = 2) -> None:
    """The ``holding`` first clients go one after the other: before a commit, and in the middle of one."""
    trial = Trial(lab, lock_lease=10, node_lease=60)
    last = lab.clients[-1]
    for client in lab.clients:
        trial.feeder(client, max_feed=3).start()
    trial.wait_until_up()
    here = Warm(last, QUEUE, trial.env)
    for client, name in list(zip(lab.clients, ("commit", "page:3"), strict=False))[:holding]:
        here.submit([trial.job(20) for _ in range(4)], "--restartable").wait()
        here.submit([trial.job(20) for _ in range(4)]).wait()
        wait_for_attempts(lab, 2)
        moment = Moment(client, name)
        Warm(client, QUEUE, trial.env).submit([trial.job(0.1)], moment=moment)
        moment.wait()
        before, begun = generation(lab), time.monotonic()
        client.power_off()
        assert here.submit([trial.job(0.1)]).wait().out == "acknowledged\n"
        took = time.monotonic() - begun
        lab.diary.note(f"power off at {moment}: {took:.1f} s, generation {before} to {generation(lab)}")
        assert took < max(10, 2 * LEASE) + _SLOWNESS
        if lab.plan.nfs == "3":
            assert generation(lab) > before
    trial.rest(last, least=8)
    for client in lab.clients[:holding]:
        client.boot()  # for its evidence alone
    trial.judge()
