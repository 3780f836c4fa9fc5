"""One node's clock steps a day forward and back, and runs 10 % fast and slow: nothing changes.

Each job has one attempt, no lease runs out, no generation is left, no submit is lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.nfs.lab.cluster import Computer, Lab, Plan
from tests.nfs.lab.lookup import submitted, wait_until_begun
from tests.nfs.lab.trial import Trial
from tests.oracle.checker import Expected

VERSIONS = ("3", "4.2")
PLAN = Plan(clients=2)

LOCK_LEASE, NODE_LEASE = 10, 20  # seconds
DAY = 86_400.0
#: The clocks of emulated machines drift between two measurements, seconds.
CLOCK_ERROR = 0.5


def scenario(lab: Lab, jobs: int = 24, seconds: int = 30) -> None:
    """After each change ``jobs`` short jobs, and four of ``seconds``, longer than the leases."""
    trial = Trial(lab, lock_lease=LOCK_LEASE, node_lease=NODE_LEASE)
    right, wrong = lab.clients
    feeders = [trial.feeder(client, max_feed=6) for client in lab.clients]
    for feeder in feeders:
        feeder.start()
    trial.wait_until_up()

    changes: list[Callable[[], None]] = [
        lambda: wrong.step_clock(DAY),
        lambda: wrong.step_clock(-2 * DAY),
        lambda: wrong.step_clock(DAY),
        lambda: wrong.clock_rate(1.1),
        lambda: wrong.clock_rate(0.9),
    ]
    count = 0
    for change in changes:
        for client in lab.clients:
            trial.submitter(client, jobs // 2, batch=4)
        # They run while the clock changes, and for longer than the leases after it.
        long = long_jobs(trial, right, seconds) + long_jobs(trial, wrong, seconds)
        change()
        feeders[1].stop()  # a feeder that starts judges by the clock what was left behind
        feeders[1].start()
        feeders[1].wait_until_up()
        count += jobs + len(long)
        trial.rest(least=count, deadline=1200)
    wrong.clock_rate(1.0)

    verdict = trial.judge(Expected(clock_error=CLOCK_ERROR))
    assert verdict.jobs == verdict.attempts == verdict.states["finished"] == count, verdict
    dump = json.loads((lab.folder / "dump.json").read_text(encoding="utf-8"))
    assert dump["generation"] == 1, dump["generation"]
    for log in lab.folder.rglob("feeder.*"):
        said = log.read_text(encoding="utf-8", errors="replace")
        assert "lease ran out" not in said, f"{log}: {said}"


def long_jobs(trial: Trial, node: Computer, seconds: int) -> list[int]:
    """One job that is restartable and one that is not, begun on this node; their jids."""
    jids = [
        jid
        for options in ([], ["--restartable"])
        for jid in submitted(trial, node, [trial.job(seconds)], f"--runner={node.name}", *options)
    ]
    wait_until_begun(trial, node, jids)
    return jids
