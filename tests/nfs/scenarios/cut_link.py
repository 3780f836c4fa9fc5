"""The cable of a node is cut at every moment of its commit, longer than the lease, then healed: no loss.

Its late writes are refused by the server (NFSv4) or go to a generation that nobody uses any more (NFSv3). The
negative control has no lock on the journal. One part cuts a node in the roll-back of a dead writer's work.
"""

from __future__ import annotations

import time
from contextlib import suppress

from tests.nfs.control import ControlQueue
from tests.nfs.lab.cluster import QUEUE, Lab, Plan
from tests.nfs.lab.trial import Trial
from tests.nfs.moment import Moment, Warm, generation
from tests.nfs.stops import WRITING

VERSIONS = ("3", "4.2")
PLAN = Plan(clients=2)


def scenario(lab: Lab, commits: int = 1, controls: int = 1, rollback: int = 1) -> None:
    """The three parts can be left out by 0."""
    if rollback:
        found = cut_in_rollback(ControlQueue(lab, "rollback"))
        lab.diary.note(f"cut in the roll-back: {found or 'nothing is broken'}")
        late = cut_off_writer(ControlQueue(lab, "begun"), "begun")
        lab.diary.note(f"cut before the lock on the journal: {late or 'nothing is broken'}")
        assert not found, found
        assert not late, late
    if controls and lab.plan.nfs != "3":  # nothing fences there: the protection is the generation
        seen = [cut_off_writer(ControlQueue(lab, f"unlocked{n}", "no-journal-lock"), name)
                for n, name in enumerate(("commit", "header"))]  # fmt: skip
        lab.diary.note(f"negative control no-journal-lock: {seen}")
        assert any(seen), "the missing lock on the journal was not seen"
    if commits:
        trial = Trial(lab, lock_lease=10, node_lease=120)
        for client in lab.clients:
            trial.feeder(client, max_feed=3).start()
        trial.wait_until_up()
        one, two = (Warm(client, QUEUE, trial.env) for client in lab.clients)
        for name in WRITING:
            cut_commit(trial, one, two, name)
        cut_commit(trial, one, two, "header", moments_only=True)
        trial.rest(lab.clients[1], least=1)
        trial.judge()


def cut_commit(trial: Trial, one: Warm, two: Warm, name: str, *, moments_only: bool = False) -> None:
    """A submitter's commit gets stuck behind the cut; what becomes of it, its submitter learns afterwards."""
    moment = Moment(one.node, name)
    writer = one.submit([trial.job(0.1) for _ in range(10)], moment=moment)
    moment.wait()
    one.node.link.cut()
    moment.go_on()
    if moments_only:
        time.sleep(3)  # the fault itself
    else:
        for _ in range(3):
            assert two.submit([trial.job(0.1)]).wait().out == "acknowledged\n"
    one.node.link.heal()
    trial.lab.diary.note(f"cut at {moment}, its submit: {writer.wait().out.strip()}")


def cut_off_writer(queue: ControlQueue, name: str) -> str:
    """As ``cut_commit``, with five commits of the others; what is broken afterwards."""
    one, two = queue.lab.clients
    queue.submit(one, 20)
    moment = Moment(one, name)
    writer = queue.start(one, 20, moment)
    moment.wait()
    one.link.cut()
    moment.go_on()
    for _ in range(5):
        assert queue.submit(two).status == 0
    one.link.heal()
    queue.heard(writer.wait())
    queue.submit(two)
    return queue.broken()


def cut_in_rollback(queue: ControlQueue) -> str:
    """The first node rolls a dead writer's work back and is cut off before the journal's header is sent.

    The second does it as well, goes on, and is killed in the middle of a commit, right after the first one's
    late write of the header has landed on its own. What is broken afterwards.
    """
    one, two = queue.lab.clients
    queue.submit(one, 20)
    dying = Moment(one, "page:3", "kill")
    writer = queue.start(one, 20, dying)
    dying.wait()
    writer.wait()
    rolling = Moment(one, "zeroed")
    reader = queue.warm[one].run("status", moment=rolling)
    rolling.wait()
    one.link.cut()
    rolling.go_on()
    assert queue.submit(two).status == 0
    half = Moment(two, "page:4")
    late = queue.start(two, 20, half)
    half.wait()
    two.sh("sync")
    header = journal_header(queue)
    one.link.heal()
    with suppress(AssertionError):  # where it waits for the lock, its late writes have been sent
        reader.wait(30)
    queue.lab.diary.note(f"the second node's header on the server: {header}, then {journal_header(queue)}")
    half.kill()
    late.wait()
    queue.submit(two)
    queue.submit(one)
    return queue.broken()


def journal_header(queue: ControlQueue) -> str:
    """How the journal begins on the server's disk: eight bytes."""
    path = f"/lab/disk/export/{queue.name}/db.{generation(queue.lab, queue.name)}/queue.db-journal"
    return queue.lab.server.sh('head -c 8 "$1" | od -An -tx1', path).out.strip()
