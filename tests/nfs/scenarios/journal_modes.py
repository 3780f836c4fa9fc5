"""SIGKILL of a writer in mid-commit while another node polls: DELETE and TRUNCATE corrupt, PERSIST does not.

The two modes are mutants, and negative controls: the scenario fails when the lab does not see them corrupt.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from tests.nfs import poll
from tests.nfs.control import ControlQueue
from tests.nfs.lab.cluster import QUEUE, Lab, Plan
from tests.nfs.lab.node import Node, Process
from tests.nfs.lab.trial import Trial
from tests.nfs.moment import Moment, Warm
from tests.nfs.stops import WRITING
from tests.waiting import wait_until

VERSIONS = ("3", "4.2")
PLAN = Plan(clients=2)
#: What has not changed is believed for 3 s at first, and for twice as long each time that the server says the
#: same (nfs(5), acregmin and acregmax): after so many seconds a journal of no size is believed for longest.
QUIET_SECONDS = {"delete": 5, "truncate": 50}


def scenario(lab: Lab, tries: int = 10, controls: int = 4) -> None:
    """``tries`` kills with PERSIST, and up to ``controls`` with each of the other modes."""
    if tries:
        persist(Trial(lab, lock_lease=10, node_lease=60), tries)
    seen = {mode: first_corruption(lab, mode, controls) for mode in ("delete", "truncate")}
    if "lookupcache=none" in lab.plan.mount_options:
        return  # each look-up asks the server, which says how large the journal is, too: nothing need be seen
    assert seen["delete"], "DELETE was not seen to corrupt: this lab sees nothing"
    # On NFSv3 nobody goes on in a dead writer's database: it is copied, and a copy opens the journal.
    assert seen["truncate"] or lab.plan.nfs == "3", "TRUNCATE was not seen to corrupt: this lab sees nothing"


def persist(trial: Trial, tries: int) -> None:
    """Kills at moments of every kind; feeders come at the end and do what was submitted."""
    lab = trial.lab
    one, two = lab.clients
    poller = start_poller(two, QUEUE, trial.env)
    writers, others = (Warm(client, QUEUE, trial.env) for client in lab.clients)
    commands = [trial.job(0.1) for _ in range(20)]
    assert writers.submit(commands).wait().out == "acknowledged\n"
    pages = [f"page:{number}" for number in range(1, 7)]
    moments = [*pages, *(name for name in WRITING if name not in pages)]
    for _ in range(tries):
        if not moments:
            break
        moment = Moment(one, moments.pop(lab.random.randrange(len(moments))), "kill")
        writer = writers.submit(commands, moment=moment)
        moment.wait()
        assert writer.wait().out == "unknown\n"
        assert others.submit([trial.job(0.1)]).wait().out == "acknowledged\n"
    assert not complaints(two, poller), complaints(two, poller)
    lab.diary.note(f"PERSIST: {tries} kills, {polls(two, poller)} polls")
    two.signal([poller.pid], signal.SIGKILL)
    for client in lab.clients:
        trial.feeder(client, max_feed=6).start()
    trial.wait_until_up()
    trial.rest(two, least=tries)
    trial.judge()


def first_corruption(lab: Lab, mode: str, tries: int) -> int:
    """In which try the other node found the database corrupt, or left it so; 0 for none."""
    one, two = lab.clients
    queue = ControlQueue(lab, mode, f"journal-{mode}")
    queue.submit(one, 10)
    poller = start_poller(two, queue.path, queue.env)
    tried = (number for number in range(1, tries + 1) if corrupts(queue, poller))
    found = next(tried, 0)
    two.signal([poller.pid], signal.SIGKILL)
    seen = f"corrupt in try {found}" if found else "not corrupt"
    lab.diary.note(f"negative control {mode}: {seen} of {tries}")
    return found


def corrupts(queue: ControlQueue, poller: Process) -> bool:
    """Kill a writer in mid-commit, while the other node polls; whether that finds or leaves corruption."""
    one, two = queue.lab.clients
    before = polls(two, poller)
    time.sleep(QUIET_SECONDS[queue.name])
    wait_until(lambda: polls(two, poller) > before + 2 or complaints(two, poller), 120)
    moment = Moment(one, f"page:{queue.lab.random.randint(2, 5)}", "kill")
    writer = queue.start(one, 20, moment)
    moment.wait()
    writer.wait()
    queue.submit(two)  # by which it is corrupt for good
    after = polls(two, poller)
    wait_until(lambda: polls(two, poller) > after or complaints(two, poller), 120)
    said, broken = complaints(two, poller), queue.broken()
    queue.lab.diary.note(f"{queue.name}, {moment}: {broken or 'ok'}; the other node: {said[:1]}")
    if not said and not broken:
        queue.submit(one)
    return bool(said or broken)


def start_poller(node: Node, queue: str, env: dict[str, str]) -> Process:
    """Have the node look all the time."""
    return node.start(sys.executable, poll.__file__, queue, env=env, log=f"poll.{Path(queue).name}")


def polls(node: Node, poller: Process) -> int:
    """How often it has looked, in tens."""
    return lines(node, poller).count("polled ")


def complaints(node: Node, poller: Process) -> list[str]:
    """The errors that it got instead of an answer; rqpy's own news is none."""
    return [line for line in lines(node, poller).splitlines() if not line.startswith(("polled ", "rqpy: "))]


def lines(node: Node, poller: Process) -> str:
    """What it has written."""
    return node.read(f"{node.logs}/poll.{Path(poller.argv[-1]).name}").decode()
