"""SIGKILL of feeders, runners, both at once and submitters, at random, for some minutes under load."""

from __future__ import annotations

import signal
import time
from collections import Counter

from tests.nfs.lab.cluster import Lab, Plan
from tests.nfs.lab.feeder import Feeder
from tests.nfs.lab.node import Node, Process
from tests.nfs.lab.trial import Trial
from tests.oracle.checker import Expected

VERSIONS = ("3", "4.2")
PLAN = Plan(clients=2)

LOCK_LEASE, NODE_LEASE = 10, 30  # seconds
#: Jobs of a submitter, more than it will come to: it works until it is killed.
ENDLESS = 100_000
#: For no longer than this a command may wait for the lock, seconds.
LOCK_BOUND = 60


def scenario(lab: Lab, minutes: int = 2) -> None:
    """For ``minutes``, every few seconds somebody is killed, and started again at once or a while later."""
    trial = Trial(lab, lock_lease=LOCK_LEASE, node_lease=NODE_LEASE)
    trial.prober(lab.clients[0])
    submitters: dict[Node, Process] = {client: submitter(trial, client) for client in lab.clients}
    feeders = [trial.feeder(client, max_feed=4) for client in lab.clients]
    for feeder in feeders:
        feeder.start()
    trial.wait_until_up()

    kills = Kills(trial, feeders, submitters)
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        time.sleep(lab.random.uniform(0, 8))
        kills.one()
    kills.finish()

    trial.rest(deadline=1200)
    verdict = trial.judge(Expected(lock_bound=LOCK_BOUND))
    lab.diary.note(f"{dict(kills.counts)}; states {dict(verdict.states)}")


def submitter(trial: Trial, client: Node) -> Process:
    """One that never ends by itself."""
    return trial.submitter(client, ENDLESS, batch=8, seconds=3.0, pause=1.0)


class Kills:
    """Kills by chance, and starts again what it has killed."""

    def __init__(self, trial: Trial, feeders: list[Feeder], submitters: dict[Node, Process]) -> None:
        self.counts: Counter[str] = Counter()
        self._trial = trial
        self._feeders = feeders
        self._submitters = submitters
        self._chance = trial.lab.random
        self._back_at: dict[Feeder, float] = {}  # when a feeder that is away is started again

    def one(self) -> None:
        """Kill somebody."""
        self._start_again(time.monotonic())
        choices = [self.kill_feeder, self.kill_runner, self.kill_both, self.kill_submitter, self.kill_submit]
        self._chance.choice(choices)()

    def finish(self) -> None:
        """No submits any more, and every feeder feeds."""
        for client in self._submitters:
            self._end_submitter(client)
        self._start_again(float("inf"))
        self._trial.wait_until_up()

    def kill_feeder(self) -> None:
        """Its jobs run on. It is back at once, or when its lease has run out for long."""
        if feeder := self._any_feeder():
            self.counts["feeder"] += 1
            feeder.kill()
            self._back(feeder, self._chance.choice([0, 0, 2 * NODE_LEASE]))

    def kill_runner(self) -> None:
        """Its jobs are ended by the feeder."""
        feeder = self._any_feeder()
        if feeder and feeder.processes("rq_py.runner"):
            self.counts["runner"] += 1
            feeder.kill_runner()

    def kill_both(self) -> None:
        """What is left of the jobs is ended by the next feeder; it has to come before the lease runs out."""
        if feeder := self._any_feeder():
            self.counts["both"] += 1
            feeder.kill()
            feeder.kill_runner()
            self._back(feeder, 0)

    def kill_submitter(self) -> None:
        """With the submit that it was making, or leaving that behind."""
        client = self._chance.choice(list(self._submitters))
        self.counts["submitter"] += 1
        if self._chance.random() < 0.5:
            self._end_submitter(client)
        else:
            client.kill(self._submitters[client])
        self._submitters[client] = submitter(self._trial, client)

    def kill_submit(self) -> None:
        """The submitter goes on, and knows not what became of it."""
        client = self._chance.choice(list(self._submitters))
        self.counts["submit"] += _kill_submits(client)

    def _end_submitter(self, client: Node) -> None:
        client.kill(self._submitters[client])
        _kill_submits(client)

    def _any_feeder(self) -> Feeder | None:
        there = [feeder for feeder in self._feeders if feeder.is_running]
        return self._chance.choice(there) if there else None

    def _back(self, feeder: Feeder, after: float) -> None:
        assert feeder.process is not None
        ended = feeder.process.wait(300)
        # Ended otherwise, it was not this kill that it died of.
        assert ended.status == -signal.SIGKILL, ended
        if after:
            self._back_at[feeder] = time.monotonic() + after
        else:
            feeder.start()

    def _start_again(self, now: float) -> None:
        for feeder in [feeder for feeder, at in self._back_at.items() if at <= now]:
            del self._back_at[feeder]
            feeder.start()


def _kill_submits(client: Node) -> int:
    """Kill what is being submitted on this node right now, if anything is; how many processes."""
    submits = [seen.pid for seen in client.processes("submit --output")]
    return len(client.kill(submits)) if submits else 0
