"""A node loses its power: with jobs and the queue lock, and in the middle of a transaction; it boots again.

Once it stays away for longer than its lease, and the others bury what it ran; once it is back before that,
and buries its own (``node_rebooted``). At the end the power goes a few times at any moment.
"""

from __future__ import annotations

import time

from tests.nfs.lab.cluster import QUEUE, Computer, Lab, Plan
from tests.nfs.lab.feeder import Feeder
from tests.nfs.lab.lookup import listed, submitted, wait_until_begun
from tests.nfs.lab.node import RQPY
from tests.nfs.lab.progress import attempts, wait_for_attempts
from tests.nfs.lab.trial import Trial
from tests.oracle.checker import Expected

VERSIONS = ("3", "4.2")
PLAN = Plan(clients=2)

LOCK_LEASE, NODE_LEASE = 10, 80  # seconds
#: For no longer than this a command may wait for the lock, seconds: lease, copy, slow emulated machines.
LOCK_BOUND = 90


def scenario(lab: Lab, jobs: int = 60, cuts: int = 2) -> None:
    """``jobs`` are submitted in the last part, in which the power goes ``cuts`` times."""
    trial = Trial(lab, lock_lease=LOCK_LEASE, node_lease=NODE_LEASE)
    stays, falls = lab.clients
    trial.prober(stays)
    unlucky, lucky = trial.feeder(falls, max_feed=5), trial.feeder(stays, max_feed=5)

    unlucky.start()
    unlucky.wait_until_up()
    with_jobs_and_the_lock(trial, stays, falls, lucky)
    falls.boot()
    back_before_its_lease_ends(trial, stays, falls, unlucky)
    at_any_moment(trial, stays, falls, unlucky, jobs, cuts)

    trial.rest(stays, least=jobs // 2, deadline=1200)
    trial.judge(Expected(lock_bound=LOCK_BOUND))


def with_jobs_and_the_lock(trial: Trial, stays: Computer, falls: Computer, lucky: Feeder) -> None:
    """It holds the lock and runs jobs, and stays away: the lock is free soon, the jobs after its lease."""
    lab = trial.lab
    again = submitted(trial, stays, [trial.job(40)] * 2, "--restartable")
    never_again = submitted(trial, stays, [trial.job(40)] * 2)
    wait_until_begun(trial, falls, [*again, *never_again])
    lucky.start()
    falls.start(*RQPY, QUEUE, "lock", "write", "--", "sleep", "6000", env=trial.env)
    lab.wait_until(lambda: any(seen.argv == ["sleep", "6000"] for seen in falls.processes("6000")), 300)
    falls.power_off()

    went = time.monotonic()
    submitted(trial, stays, [trial.job()])
    lab.diary.note(f"the lock was had {time.monotonic() - went:.0f} s after the power went")
    wait_until_begun(trial, stays, again, attempt=2)
    lab.diary.note(f"the jobs were buried {time.monotonic() - went:.0f} s after the power went")
    found = listed(stays)
    assert all((found[jid].state, found[jid].reason) == ("dead", "node_lost") for jid in never_again), found
    assert all(found[jid].runner == stays.name for jid in again), found


def back_before_its_lease_ends(trial: Trial, stays: Computer, falls: Computer, unlucky: Feeder) -> None:
    """The power goes while its feeder is in a transaction that records an exit; it is back at once.

    One job has ended, which the database does not know yet; others run.
    """
    fifo = f"{falls.disk}/paused"
    falls.run("mkfifo", fifo)
    unlucky.env["RQ_TEST_PAUSE_AT"] = f"recorded:{fifo}"
    unlucky.start()
    unlucky.wait_until_up()
    here = f"--runner={falls.name}"
    never_again = submitted(trial, stays, [trial.job(40)] * 2, here)
    again = submitted(trial, stays, [trial.job(40)] * 2, here, "--restartable")
    wait_until_begun(trial, falls, [*again, *never_again])
    [ended] = submitted(trial, stays, [trial.job(0.1, status=3)], here)
    falls.run("cat", fifo, timeout=300)  # the feeder is stopped in its transaction when this has ended
    falls.reboot()
    del unlucky.env["RQ_TEST_PAUSE_AT"]
    unlucky.start()
    unlucky.wait_until_up()

    wait_until_begun(trial, falls, again, attempt=2)
    found = listed(stays)
    for jid in never_again:
        assert (found[jid].state, found[jid].reason) == ("dead", "node_rebooted"), found[jid]
    # What the runner has journalled of it may have reached the disk or not.
    assert found[ended].state == "finished" or found[ended].reason == "node_rebooted", found[ended]


def at_any_moment(
    trial: Trial, stays: Computer, falls: Computer, unlucky: Feeder, jobs: int, cuts: int
) -> None:
    """Everybody works, also a submitter on the node whose power goes."""
    lab = trial.lab
    for client in (stays, falls):
        trial.submitter(client, jobs // 2, batch=5, seconds=4.0)
    for _ in range(cuts):
        wait_for_attempts(lab, attempts(lab) + 4, deadline=600)
        time.sleep(lab.random.uniform(0, 3))
        falls.reboot()
        unlucky.start()
        unlucky.wait_until_up()
        trial.submitter(falls, jobs // 4, batch=5, seconds=4.0)
