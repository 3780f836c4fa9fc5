"""A node stands still as a whole for longer than its lease, and goes on: what it does then changes nothing.

Once while it runs jobs, once in the middle of a transaction, under the lock. Its restartable jobs were
started again by the others and end here within the second that a node may take after it wakes up; the others
still become finished, by the attempt that was believed to be lost.
"""

from __future__ import annotations

import signal
import time

from tests.nfs.lab.cluster import Computer, Lab, Plan
from tests.nfs.lab.feeder import Feeder
from tests.nfs.lab.lookup import listed, submitted, wait_until_begun
from tests.nfs.lab.trial import Trial
from tests.oracle.checker import Expected, Freeze

VERSIONS = ("3", "4.2")
PLAN = Plan(clients=2)

LOCK_LEASE, NODE_LEASE = 10, 30  # seconds
#: The clocks of emulated machines drift between two measurements, seconds.
CLOCK_ERROR = 0.5


def scenario(lab: Lab, seconds: int = 50) -> None:
    """Each job lasts for ``seconds``, so it is running still when the node goes on."""
    trial = Trial(lab, lock_lease=LOCK_LEASE, node_lease=NODE_LEASE)
    goes_on, stands = lab.clients
    paused, other = trial.feeder(stands, max_feed=5), trial.feeder(goes_on, max_feed=5)
    freezes = []

    paused.start()
    paused.wait_until_up()
    again, never_again = long_jobs(trial, goes_on, stands, seconds)
    other.start()
    stands.pause()
    freezes.append(wake_when_taken_over(trial, goes_on, stands, again))
    finished_late(lab, goes_on, never_again)
    trial.rest(goes_on)

    other.stop()
    paused.stop()
    again, never_again = stop_in_a_transaction(trial, goes_on, stands, paused, seconds)
    other.start()
    stands.pause()
    submitted(trial, goes_on, [trial.job()])  # the lock is had, whoever holds it
    freezes.append(wake_when_taken_over(trial, goes_on, stands, again))
    paused.kill(signal.SIGCONT)
    finished_late(lab, goes_on, never_again)

    trial.rest(goes_on)
    trial.judge(Expected(freezes=freezes, clock_error=CLOCK_ERROR))


def long_jobs(trial: Trial, goes_on: Computer, stands: Computer, seconds: int) -> tuple[list[int], list[int]]:
    """Two jobs that are restartable and two that are not, begun on the node that will stand still."""
    again = submitted(trial, goes_on, [trial.job(seconds)] * 2, "--restartable")
    never_again = submitted(trial, goes_on, [trial.job(seconds, status=2)] * 2)
    wait_until_begun(trial, stands, [*again, *never_again])
    return again, never_again


def stop_in_a_transaction(
    trial: Trial, goes_on: Computer, stands: Computer, paused: Feeder, seconds: int
) -> tuple[list[int], list[int]]:
    """The feeder is stopped under the lock: in its transaction the exit of a short job is recorded."""
    fifo = f"{stands.disk}/paused"
    stands.run("mkfifo", fifo)
    paused.env["RQ_TEST_PAUSE_AT"] = f"recorded:{fifo}"
    paused.start()
    paused.wait_until_up()
    running = long_jobs(trial, goes_on, stands, seconds)
    submitted(trial, goes_on, [trial.job(0.1, status=3)])
    stands.run("cat", fifo, timeout=300)  # it is stopped when this has ended
    return running


def wake_when_taken_over(trial: Trial, goes_on: Computer, stands: Computer, again: list[int]) -> Freeze:
    """Wait until the restartable jobs run elsewhere, then let the node go on."""
    lab, place, stood = trial.lab, trial.place(stands.name), time.monotonic()
    wait_until_begun(trial, goes_on, again, attempt=2)
    lab.diary.note(f"its jobs were taken over after {time.monotonic() - stood:.0f} s")
    woken = time.monotonic()
    stands.resume()
    return Freeze(place, woken)


def finished_late(lab: Lab, goes_on: Computer, never_again: list[int]) -> None:
    """Wait until the jobs of which nobody knew whether they run have told how they ended."""
    found = listed(goes_on)
    lost = [jid for jid in never_again if found[jid].reason == "node_lost"]
    lab.diary.note(f"{len(lost)} of {len(never_again)} jobs were declared dead as node_lost")
    assert lost, found

    def finished() -> bool:
        now = listed(goes_on)
        return all(now[jid].state == "finished" and now[jid].attempt == 1 for jid in never_again)

    lab.wait_until(finished, deadline=300, interval=5)
