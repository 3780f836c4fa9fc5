"""A queue on the lab's export, on trial: who works on it, what is collected, and the oracle's verdict."""

from __future__ import annotations

import itertools
import json
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.nfs.lab.cluster import EVIDENCE, QUEUE, Lab, in_parallel
from tests.nfs.lab.feeder import Feeder
from tests.nfs.lab.machine import HERE
from tests.nfs.lab.node import CommandFailed, Node, Process
from tests.oracle.checker import Expected, Violation, check
from tests.oracle.evidence import Evidence, Place, collect
from tests.oracle.scene import MUTANTS, REPOSITORY
from tests.oracle.timeline import Clocks, Timeline

ORACLE = REPOSITORY / "tests" / "oracle"


class PromiseBroken(AssertionError):
    """The oracle found violations; the text lists them."""


@dataclass(frozen=True)
class Verdict:
    """What the trial was about, in figures, and the violations."""

    jobs: int
    attempts: int
    states: Mapping[str, int]
    submits: Mapping[str, int]  #: by their outcome: acknowledged, failed, unknown
    violations: Sequence[Violation]


class Trial:
    """One queue, which records each transition, and everybody who works on it."""

    def __init__(self, lab: Lab, mutant: str = "", **settings: object) -> None:
        """Make the queue, on the first node. ``mutant`` takes that protection away, everywhere."""
        self.lab = lab
        self.feeders: list[Feeder] = []
        self.submitters: list[Process] = []
        self.probers: list[Process] = []
        self.env = {"PYTHONPATH": str(REPOSITORY)}
        if mutant:
            self.env = {"PYTHONPATH": f"{MUTANTS}:{REPOSITORY}", "RQ_TEST_MUTANT": mutant}
        self._numbers = itertools.count(1)
        chosen = {"shell": "sh", "login": "never", **settings}
        first = lab.nodes[0]
        first.rqpy(QUEUE, "create", *(f"{key}={value}" for key, value in chosen.items()))
        first.python(str(ORACLE / "audit.py"), "install", QUEUE)
        lab.diary.note("the queue is there")

    def feeder(self, node: Node, name: str | None = None, *options: str, max_feed: int = 2) -> Feeder:
        """A feeder on a node, not started yet; ``name`` is its RQ_NODE, for several of them on a node."""
        feeder = Feeder(node, name or node.name, QUEUE, ["--max-feed", str(max_feed), *options], self.env)
        self.feeders.append(feeder)
        return feeder

    def wait_until_up(self) -> None:
        """Wait until every feeder that was started feeds."""
        for feeder in self.feeders:
            if feeder.is_running:
                feeder.wait_until_up()

    def submitter(
        self,
        node: Node,
        jobs: int,
        batch: int = 25,
        seconds: float = 1.0,
        restartable: float = 0.5,
        pause: float = 0.0,
    ) -> Process:
        """Submit in the background: ``jobs`` in all, up to ``batch`` at once, each up to ``seconds`` long.

        ``restartable`` is the part of the submits whose jobs are; ``pause`` is in seconds between submits.
        """
        number = next(self._numbers)
        process = node.start(
            sys.executable, str(ORACLE / "submit.py"),
            "--log", f"{EVIDENCE}/submits.{number}", "--queue", QUEUE, "--evidence", EVIDENCE,
            "--jobs", str(jobs), "--batch", str(batch), "--seconds", str(seconds),
            "--restartable", str(restartable), "--pause", str(pause),
            "--seed", f"{self.lab.plan.seed}.{number}",
            env={**self.env, "RQ_NODE": node.name}, log=f"submitter.{number}",
        )  # fmt: skip
        self.submitters.append(process)
        return process

    def submit(self, node: Node, commands: Sequence[str], *options: str, timeout: float = 120) -> str:
        """One submit, with options of ``rqpy submit``, written down for the oracle; its outcome."""
        done = node.python(
            str(HERE / "submit_lines.py"), f"{EVIDENCE}/submits.{next(self._numbers)}", QUEUE, *options,
            stdin="".join(f"{command}\n" for command in commands),
            env={**self.env, "RQ_NODE": node.name}, timeout=timeout,
        )  # fmt: skip
        return done.out.strip()

    def job(self, seconds: float = 0.0, status: int = 0) -> str:
        """The command of a job that leaves evidence, lasts so long, and exits so."""
        return f"sh {ORACLE / 'job.sh'} {EVIDENCE} {seconds:.3f} {status}"

    def prober(self, node: Node, pause: float = 2.0) -> Process:
        """Measure on a node, over and over, how long ``rqpy status`` takes (``Expected.lock_bound``)."""
        process = node.start(
            sys.executable, str(ORACLE / "lock_prober.py"),
            "--log", f"{EVIDENCE}/probes.{next(self._numbers)}", "--queue", QUEUE, "--pause", str(pause),
            env={**self.env, "RQ_NODE": node.name}, log="prober",
        )  # fmt: skip
        self.probers.append(process)
        return process

    def place(self, name: str) -> Place:
        """Node (or feeder) ``name`` in its machine's present boot, as the oracle names it."""
        nodes = {node.name: node for node in self.lab.nodes} | {
            feeder.name: feeder.node for feeder in self.feeders
        }
        return name, nodes[name].machine.boots[-1].boot_id

    def rest(self, node: Node | None = None, least: int = 1, deadline: float = 600) -> None:
        """Wait until the submitters are through, then until all jobs, ``least`` or more, have ended.

        ``node`` is who looks. A submitter may end with fewer jobs than it was told to submit: the oracle
        knows which. Raises AssertionError after ``deadline`` seconds for each of both, and CommandFailed
        when a feeder ends with an error.
        """
        self._wait_for(self.submitters, deadline)
        looker = node or self.lab.nodes[0]
        watch = looker.start(
            sys.executable, str(HERE / "rest.py"), QUEUE, str(least),
            env={**self.env, "RQ_NODE": looker.name}, log="rest",
        )  # fmt: skip
        self._wait_for([watch], deadline)
        if watch.wait().status != 0:
            said = looker.read(f"{looker.logs}/rest").decode(errors="replace")
            raise CommandFailed(f"{looker}: whether all jobs have ended cannot be seen: {said[-500:]}")
        self.lab.diary.note("all jobs have come to their end")

    def _wait_for(self, processes: Sequence[Process], deadline: float) -> None:
        """Wait for their ends, with an eye on the feeders."""

        def have_ended() -> bool:
            for feeder in self.feeders:
                feeder.fail_if_failed()
            return not any(process.is_running for process in processes)

        self.lab.wait_until(have_ended, deadline, interval=2.0)

    def judge(self, expected: Expected | None = None) -> Verdict:
        """Stop everybody, collect, and let the oracle decide. Raises PromiseBroken with the violations.

        All machines must be on and their cables in place.
        """
        for prober in self.probers:
            if prober.is_running:
                prober.node.signal([prober.pid], signal.SIGKILL)
        in_parallel([feeder.stop for feeder in self.feeders])
        evidence = self.collected()
        violations = check(evidence, expected, self.clocks())
        rows = evidence.queue.rows
        verdict = Verdict(
            jobs=len(rows),
            attempts=sum(line.event == "start" for line in evidence.lines),
            states=Counter(row.state for row in rows.values()),
            submits=Counter(submit.outcome for submit in evidence.submits),
            violations=violations,
        )
        self.lab.verdicts.append(verdict)
        self.lab.diary.note(
            f"{verdict.jobs} jobs ({_counts(verdict.states)}), {verdict.attempts} attempts, "
            f"submits: {_counts(verdict.submits)}; {len(violations)} violations"
        )
        if violations:
            raise PromiseBroken("\n".join(map(str, violations)))
        return verdict

    def collected(self) -> Evidence:
        """Everything that was written down, fetched into the lab's folder as well.

        The database is read on the server itself, past every client's cache.
        """
        self.lab.fetch()
        server = self.lab.server
        dump = server.python(str(ORACLE / "audit.py"), "dump", "/lab/disk/export/q").out
        (self.lab.folder / "dump.json").write_text(dump, encoding="utf-8")
        evidence = collect(json.loads(dump), self.lab.folder)
        if not evidence.lines:
            raise AssertionError("no job has left evidence: nothing was tested")
        return evidence

    def clocks(self) -> Clocks:
        """What each node's and feeder's time since boot means in the lab's time."""
        lines = {}
        for node, name in [
            *((node, node.name) for node in self.lab.nodes),
            *((feeder.node, feeder.name) for feeder in self.feeders),
        ]:
            machine = node.machine
            if machine.answers:
                machine.note_time()
            for boot in machine.boots:
                if boot.moments:
                    points = [(moment.boottime, moment.lab) for moment in boot.moments]
                    lines[name, boot.boot_id] = Timeline(points)
        return Clocks(lines)


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counted.items()))
