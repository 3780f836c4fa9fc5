"""Throughput: short jobs by feeders and by workers with one job a transaction, in turns; what that costs.

No fault and no oracle: ``bin/bench nfs`` starts it and reads its figures. Both contestants have as many slots
on the same clients, a backlog that does not run out, and a window in which all of them work.
"""

from __future__ import annotations

import json
import signal
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.nfs.lab.cluster import MOUNT, Lab, Plan, in_parallel
from tests.nfs.lab.node import CommandFailed, Node, Process
from tests.oracle.scene import REPOSITORY

VERSIONS = ("4.2",)
PLAN = Plan(clients=2)

#: The programs that run on the nodes.
PROGRAMS = REPOSITORY / "bench" / "nfs"
ENV = {"PYTHONPATH": str(REPOSITORY)}
#: Jobs at once on each client.
SLOTS = 4
#: Jobs that are pending, more than can be run: in machines that are emulated, and in others.
EMULATED, FAST = 5_000, 300_000
#: Rounds of the measurement of costs, and the jobs of one (FEW and MANY of bench/nfs/costs.py).
COST_ROUNDS, COST_JOBS = 6, 101
#: The costs of transactions.
TOGETHER = ("fixed", "empty", "cpu_share", "claim", "begin", "finish", "submit")


def scenario(
    lab: Lab, rounds: int = 3, seconds: int = 40, settle: int = 40, jobs: int = 0
) -> dict[str, object]:
    """Costs first, while the lab is quiet; then each contestant's turn, ``rounds`` times. The figures.

    A turn is measured for ``seconds``, after ``settle`` seconds in which everybody works already: a feeder
    has to learn that jobs are short. ``jobs`` is the backlog, 0 for one that is large enough.
    """
    backlog = jobs or (FAST if "kvm" in lab.accelerator else EMULATED)
    figures: dict[str, object] = {"accelerator": lab.accelerator, "costs": costs(lab)}
    figures["turns"] = [
        Turn(lab, contestant, number, backlog).take(seconds, settle)
        for number in range(1, rounds + 1)
        for contestant in CONTESTANTS
    ]
    return figures


def costs(lab: Lab) -> dict[str, float]:
    """What transactions, locks and looks cost over NFS, in seconds: see the programs.

    Transactions are measured on both clients at once, because what the other one has changed must be read
    anew; all else on a client that is alone.
    """
    queue = f"{MOUNT}/costs"
    one, two = lab.clients
    fill(one, queue, COST_ROUNDS * COST_JOBS * 3)

    def run(node: Node, program: str, *words: str) -> str:
        argv = (str(PROGRAMS / program), *words)
        return node.python(*argv, env={"RQ_NODE": node.name, **ENV}, timeout=900).out

    def measured(node: Node, into: list[dict[str, float]]) -> None:
        into.append(json.loads(run(node, "costs.py", queue, str(COST_ROUNDS))))

    alone: list[dict[str, float]] = []
    measured(one, alone)
    (found,) = alone
    lab.diary.note(f"costs of one client: {found}")
    both: list[dict[str, float]] = []
    in_parallel([partial(measured, node, both) for node in lab.clients])
    lab.diary.note(f"costs of two clients: {both}")
    found |= {name: statistics.mean(each[name] for each in both) for name in TOGETHER}

    holder = two.start(
        sys.executable, str(PROGRAMS / "attempt.py"), "hold", queue,
        env={"RQ_NODE": two.name, **ENV}, log="holder",
    )  # fmt: skip
    lab.wait_until(lambda: b"held" in two.read(f"{two.logs}/holder"))
    found["attempt"] = float(run(one, "attempt.py", "try", queue))
    holder.signal(signal.SIGTERM)
    holder.wait()
    return {name: float(f"{seconds:.3g}") for name, seconds in found.items()}


def fill(node: Node, queue: str, jobs: int) -> None:
    """Make a queue with so many jobs ``true``."""
    rqpy = partial(node.python, "-m", "rq_py", queue, env={"RQ_NODE": node.name, **ENV}, timeout=600)
    rqpy("create", "shell=sh", "login=never")
    rqpy("submit", "--output", "jsonl", "--fields", "jid", "-", stdin="true\n" * jobs)


@dataclass(frozen=True)
class Contestant:
    """``processes`` on each client with ``slots`` each; ``argv`` has QUEUE and WAITS in it.

    ``begun`` is what a process says when it begins to take jobs.
    """

    name: str
    processes: int
    argv: tuple[str, ...]
    begun: bytes

    def command(self, queue: str, waits: str) -> list[str]:
        """The command of a process on ``queue``; it leaves how long it waited for the lock in ``waits``."""
        names = {"QUEUE": queue, "WAITS": waits}
        return [sys.executable, *(names.get(word, word) for word in self.argv)]


CONTESTANTS = (
    Contestant(
        "rqpy",
        2,
        (str(PROGRAMS / "watched.py"), "WAITS", "QUEUE", "feed", "--max-feed", str(SLOTS // 2)),
        b" feeding ",
    ),
    Contestant(
        "one-job-a-transaction",
        SLOTS,
        (str(PROGRAMS / "onebyone.py"), "QUEUE", "WAITS"),
        b"working",
    ),
)


@dataclass(frozen=True)
class Worker:
    """One process of a contestant; ``log`` and ``waits`` are on its node's own disk."""

    name: str
    node: Node
    process: Process
    log: str
    waits: str

    def has_begun(self, words: bytes) -> bool:
        """Whether it has said so. Raises CommandFailed when it has ended instead."""
        said = self.node.read(self.log)
        if words not in said and not self.process.is_running:
            raise CommandFailed(f"{self.name} has ended: {said.decode(errors='replace')[-500:]}")
        return words in said

    def stop(self) -> None:
        """Let it end what it runs. Raises CommandFailed when it ends with an error."""
        self.process.signal(signal.SIGTERM)
        done = self.process.wait(300)
        if done.status:
            said = self.node.read(self.log).decode(errors="replace")
            raise CommandFailed(f"{self.name} ended with {done.status}: {said[-500:]}")


class Turn:
    """A contestant on a queue of its own."""

    def __init__(self, lab: Lab, contestant: Contestant, number: int, jobs: int) -> None:
        self.lab = lab
        self.contestant = contestant
        self.jobs = jobs
        self.name = f"{contestant.name}.{number}"
        self.queue = f"{MOUNT}/{self.name}"
        self.workers: list[Worker] = []

    def take(self, seconds: int, settle: int) -> dict[str, object]:
        """Fill the queue, have all work, count for ``seconds``; the figures."""
        fill(self.lab.clients[0], self.queue, self.jobs)
        self.lab.diary.note(f"{self.name}: {self.jobs} jobs are there")
        in_parallel([partial(self._start_all, client) for client in self.lab.clients])
        self.lab.diary.note(f"{self.name}: all {len(self.workers)} processes work")
        time.sleep(settle)
        begin = self._clocks()
        time.sleep(seconds)
        end = self._clocks()
        in_parallel([worker.stop for worker in self.workers])
        figures = self._figures(begin, end)
        self.lab.diary.note(f"{self.name}: {figures}")
        return figures

    def _start_all(self, node: Node) -> None:
        """One after the other: in an emulated machine they would keep each other from starting in time."""
        for letter in "abcdefgh"[: self.contestant.processes]:
            worker = self._start(node, f"{node.name}{letter}")
            self.lab.wait_until(partial(worker.has_begun, self.contestant.begun), 300)
            self.workers.append(worker)

    def _start(self, node: Node, name: str) -> Worker:
        log, waits = f"{self.name}.{name}", f"{node.logs}/{self.name}.{name}.waits"
        command = self.contestant.command(self.queue, waits)
        process = node.start(*command, env={"RQ_NODE": name, **ENV}, log=log)
        return Worker(name, node, process, f"{node.logs}/{log}", waits)

    def _clocks(self) -> dict[str, float]:
        """The wall clock of each client at this moment: they are not set alike."""
        return {
            client.name: client.machine.agent.ask("clock")["realtime"] / 1e9 for client in self.lab.clients
        }

    def _figures(self, begin: Mapping[str, float], end: Mapping[str, float]) -> dict[str, object]:
        counted = self._counted(begin, end)
        jobs = sum(counted["jobs"].values())
        seconds = statistics.mean(end[name] - begin[name] for name in begin)
        waits = sorted(wait for worker in self.workers for wait in json.loads(worker.node.read(worker.waits)))
        return {
            "contestant": self.contestant.name,
            "seconds": round(seconds, 2),
            "jobs": jobs,
            "jobs_per_second": round(jobs / seconds, 3),
            "jobs_per_transaction": round(counted["finished"] / len(waits), 3),
            "job_median_seconds": counted["elapsed"],
            "lock_wait_median_seconds": round(statistics.median(waits), 4),
            "lock_wait_p99_seconds": round(waits[int(len(waits) * 0.99)], 4),
            "jobs_of_each": counted["jobs"],
        }

    def _counted(self, begin: Mapping[str, float], end: Mapping[str, float]) -> dict[str, Any]:
        """Whose jobs have ended between these times; all others must be pending, and some must."""
        node = self.lab.clients[0]
        spans = {worker.name: (begin[worker.node.name], end[worker.node.name]) for worker in self.workers}
        argv = (str(PROGRAMS / "counting.py"), self.queue)
        done = node.python(*argv, env={"RQ_NODE": node.name, **ENV}, stdin=json.dumps(spans), timeout=600)
        counted: dict[str, Any] = json.loads(done.out)
        assert counted["wrong"] == 0, f"{self.name}: {counted}: jobs have failed or were left running"
        assert counted["finished"] + counted["pending"] == self.jobs, f"{self.name}: {counted}: jobs are lost"
        assert counted["pending"], f"{self.name}: all {self.jobs} jobs ended: give more by --set jobs=N"
        return counted
