"""What others may take away from a node, and when: found by tests/model/launch.pml.

The first is BURY_WITHOUT_A_LAST_LOOK there, the second ORPHANS_AFTER_READ.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rq_py import Queue, State, claims
from rq_py.clock import utc_text
from rq_py.feeder.leases import Leases
from rq_py.job import Reason
from tests.feeder.conftest import Feed, becomes, has_ended, runner_is_gone, runner_pid
from tests.store.children import child
from tests.waiting import wait_until

_HOLD = """
import sys
from rq_py import Queue
with Queue(sys.argv[1]).hold(writing=True):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(queue: Queue) -> Iterator[None]:
    """Another process holds the queue lock, and looks alive."""
    command = [sys.executable, "-c", _HOLD, str(queue.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            holder.stdin.close()
            holder.wait(30)


def lease_of(queue: Queue, feeder: str, content: str) -> Path:
    path = queue.dir.feeders / feeder
    path.write_text(content)
    return path


@pytest.fixture
def claimed(queue: Queue) -> Queue:
    """A short node_lease, a lease of b.0, and a job that runs there."""
    file = queue.dir.settings
    file.write_text(file.read_text().replace("node_lease: 600", "node_lease: 6"))
    opened = Queue(queue.path)
    lease_of(opened, "b.0", "1")
    opened.submit("true", restartable=True)
    with opened.store.write() as tx:
        claims.claim(tx, feeder="b.0", node="b", pids=[1], journal="j", now=utc_text())
    return opened


def test_a_neighbour_that_is_back_before_its_jobs_are_buried_keeps_them(claimed: Queue) -> None:
    """It was silent for a whole lease; whoever found that out had to wait for the queue lock."""
    leases = Leases(claimed, "a.0")
    leases.begin()
    leases.watch(["b.0"])
    (watch,) = leases._ring._watches.values()
    with held_by_another(claimed):

        def keep() -> None:
            while watch.unchanged_seconds < claimed.settings.node_lease:
                wait_until(lambda: leases._look.due)
                leases.keep(None)

        watcher = threading.Thread(target=keep)
        watcher.start()
        wait_until(lambda: watch.unchanged_seconds >= claimed.settings.node_lease, 60)
        lease_of(claimed, "b.0", "2")
    watcher.join(60)
    assert not watcher.is_alive()
    assert claimed.job(1).state is State.RUNNING
    assert (claimed.dir.feeders / "b.0").exists()


def test_a_neighbour_that_stays_away_is_buried(claimed: Queue) -> None:
    leases = Leases(claimed, "a.0")
    leases.begin()
    leases.watch(["b.0"])

    def is_buried() -> bool:
        if leases._look.due:
            leases.keep(None)
        return claimed.job(1).state is State.PENDING

    wait_until(is_buried, 60)
    assert not (claimed.dir.feeders / "b.0").exists()


_FEEDER_WITHOUT_FULL_TICKS = """
from rq_py.feeder import loop
from rq_py.feeder.options import FeedOptions
from rq_py.feeder.session import feed
loop.FULL_TICK = 1e6
feed(FeedOptions(arguments[0], 1))
"""


def test_a_feeder_that_was_buried_ends_what_is_no_longer_its_own_when_it_finds_out(
    queue: Queue, environment: dict[str, str]
) -> None:
    """Not at its next full tick: it is at the renewal that the lease turns out to have been removed."""
    file = queue.dir.settings
    file.write_text(file.read_text().replace("node_lease: 600", "node_lease: 10"))
    queue.submit("[ $RQ_ATTEMPT = 1 ] && sleep 1000; exit 4", restartable=True)
    with child(_FEEDER_WITHOUT_FULL_TICKS, queue.path, env=environment):
        job = becomes(queue, 1, State.RUNNING)
        wait_until(lambda: becomes(queue, 1, State.RUNNING).pid is not None)
        shell = becomes(queue, 1, State.RUNNING).pid
        assert shell is not None
        assert job.feeder is not None
        with queue.store.write() as tx:
            claims.bury(tx, job.jid, job.attempt, job.token, reason=Reason.NODE_LOST, now=utc_text())
        (queue.dir.feeders / job.feeder).unlink()
        wait_until(lambda: has_ended(shell), 60)
        assert becomes(queue, 1, State.FINISHED).exit_status == 4


def test_what_a_killed_runner_left_ends_also_where_the_queue_cannot_be_reached(
    queue: Queue, feed: Feed, environment: dict[str, str]
) -> None:
    """Others bury it when the lease is over, and run a restartable job again: it must be gone by then."""
    feeder = feed("--max-feed", "2")
    queue.submit("sleep 1000", restartable=True)
    queue.submit("sleep 1000")
    shells = [becomes(queue, jid, State.RUNNING).pid for jid in (1, 2)]
    restartable, other = (shell for shell in shells if shell is not None)
    with held_by_another(queue):
        runner_is_gone(runner_pid(queue, environment))
        wait_until(lambda: has_ended(restartable), 60)
        assert not has_ended(other)
    assert becomes(queue, 2, State.DEAD).reason == "runner_lost"
    wait_until(lambda: queue.job(1).attempt == 2, 30)
    assert becomes(queue, 1, State.RUNNING).pid != restartable
    os.kill(feeder.process.pid, 0)
