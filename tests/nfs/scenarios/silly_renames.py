"""Files are removed while they are open on NFS, under load and kills: no ``.nfs*`` file is left behind.

A client that removes a file which it has open renames it to ``.nfs...`` and removes that when it is closed.
"""

from __future__ import annotations

import json
import signal

from tests.nfs.lab.cluster import QUEUE, Lab, Plan
from tests.nfs.lab.lookup import submitted
from tests.nfs.lab.node import RQPY, Node
from tests.nfs.lab.progress import attempts, wait_for_attempts
from tests.nfs.lab.trial import Trial
from tests.oracle.checker import Expected

VERSIONS = ("3", "4.2")
PLAN = Plan(clients=2)

#: Opens a job's stdout and takes its time, as a pager does; says when it has it open, or that there is none.
READER = 'if test -e "$1"; then exec 3<"$1"; : >"$2"; exec sleep 6000; else : >"$2"; fi'


def scenario(lab: Lab, rounds: int = 4, jobs: int = 40) -> None:
    """In each round two submit ``jobs`` each, somebody is killed, what has finished is deleted while open."""
    trial = Trial(lab, lock_lease=10, node_lease=30)
    one, two = lab.clients
    feeders = [trial.feeder(client, max_feed=4) for client in lab.clients]
    for feeder in feeders:
        feeder.start()
    trial.wait_until_up()

    removed: set[int] = set()
    most = 0
    for number in range(rounds):
        seen = attempts(lab)
        doomed = trial.submitter(two, jobs, batch=5)
        trial.submitter(one, jobs, batch=5)
        read = submitted(trial, one, [f"echo read; {trial.job()}"] * 3)
        tails = [
            node.start(*RQPY, QUEUE, "tail", *map(str, read), env={"RQ_NODE": node.name})
            for node in lab.clients
        ]
        wait_for_attempts(lab, seen + jobs // 2, deadline=600)
        feeder = feeders[number % 2]
        feeder.kill()
        feeder.start()
        feeders[(number + 1) % 2].kill_runner()
        for tail in tails:
            tail.wait(600)
        for node in lab.clients:
            open_on(node, read)
        removed |= delete_finished(one)
        most = max(most, silly(lab))
        for node in lab.clients:
            node.signal([seen.pid for seen in node.processes("sleep 6000")], signal.SIGKILL)
        two.kill(doomed)
        two.kill("submit --output")
        lab.diary.note(f"{len(removed)} jobs were deleted, up to {most} .nfs files were there at once")

    trial.rest(least=0, deadline=1200)  # all may have been deleted
    trial.judge(Expected(removed=removed))
    assert most > 0, "no silly rename was seen: nothing was tested"
    lab.wait_until(lambda: silly(lab) == 0, deadline=60)


def open_on(node: Node, jids: list[int]) -> None:
    """Have each job's stdout open on this node, in a program that is no part of rqpy."""
    for jid in jids:
        mark = f"{node.disk}/open.{jid}"
        node.start("/bin/sh", "-euc", READER, "sh", f"{QUEUE}/stdout/{jid}", mark)
        node.sh('until test -e "$1"; do sleep 0.1; done', mark)


def delete_finished(node: Node) -> set[int]:
    """Delete all jobs that have finished; their jids."""
    done = node.rqpy(QUEUE, "delete", "finished", "--output", "jsonl", "--fields", "jid")
    return {int(json.loads(line)["jid"]) for line in done.out.splitlines()}


def silly(lab: Lab) -> int:
    """How many ``.nfs*`` files are in the whole export now, as the server's disk has it."""
    return len(lab.server.sh("find /lab/disk/export -name '.nfs*'").out.splitlines())
