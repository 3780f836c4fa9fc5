"""One torture from its first process to the verdict of the oracle."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections import Counter
from pathlib import Path

from tests.oracle.checker import Expected, Violation, check
from tests.oracle.evidence import Evidence
from tests.oracle.scene import Scene, mutated
from tests.torture.faults import Faults
from tests.torture.nodes import Node
from tests.torture.plan import Plan
from tests.torture.processes import kill_all
from tests.torture.users import Users

#: Where node-local state lies, one directory for each node and queue.
LOCAL = Path("/var/tmp")


class Torture:
    """What is tortured: a queue in ``plan.folder``."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        home = plan.folder / "home"
        rotations = plan.folder / "rotations"
        self._logs = plan.folder / "logs"
        for folder in (home, rotations, self._logs):
            folder.mkdir()
        plain = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
        environment = mutated({**plain, "RQ_NODE": f"{plan.prefix}-users"}, plan.mutant)
        leases = f"lock_lease={plan.lock_lease}", f"node_lease={plan.node_lease}"
        self._scene = Scene(plan.folder, environment, *leases)
        self._rotations = rotations
        self._users = Users(self._scene, rotations, environment)
        self._nodes = [
            Node(
                f"{plan.prefix}-n{n}", self._scene, plan.slots, self._logs / f"n{n}.log", plan.chance(f"n{n}")
            )
            for n in range(plan.feeders)
        ]
        self._faults = Faults(plan, self._scene, self._nodes)
        # Nobody harms who only looks: it is on a node of another name.
        self._witness = {**environment, "RQ_NODE": f"witness-{plan.prefix}"}
        self._errors: list[str] = []

    def run(self) -> dict[str, object]:
        """Torture, settle, judge; returns the report. Leaves no process behind."""
        begun = time.monotonic()
        try:
            self._torture()
            settled = self._settle()
        finally:
            for prefix in (self._plan.prefix, f"witness-{self._plan.prefix}"):
                kill_all(prefix)
            for path in LOCAL.glob(f"rqpy-*/*{self._plan.prefix}*"):
                shutil.rmtree(path, ignore_errors=True)
        rotations = sorted(path for path in self._rotations.iterdir() if not path.name.startswith("."))
        evidence = self._scene.collected(rotations)
        users = self._users
        expected = Expected(
            removed=users.removed,
            held=users.held,
            resubmitted=users.resubmitted,
            lock_bound=self._plan.lock_bound,
        )
        violations = check(evidence, expected)
        violations += [Violation("traceback", None, text.strip()) for text in users.tracebacks]
        violations += [Violation("torture", None, text) for text in self._errors]
        return self._report(evidence, violations, time.monotonic() - begun, settled)

    def _torture(self) -> None:
        plan, ended = self._plan, threading.Event()
        threads = [
            *(self._thread(self._users.submit, plan.chance(f"s{n}"), ended) for n in range(plan.submitters)),
            *(self._thread(self._users.change, plan.chance(f"c{n}"), ended) for n in range(2)),
            self._thread(self._watch, ended),
            self._thread(self._faults.run, ended),
        ]
        self._fed = threading.Event()
        self._keepers = [self._thread(node.keep, self._fed) for node in self._nodes]
        try:
            ended.wait(plan.seconds)
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def _thread(self, work: object, *values: object) -> threading.Thread:
        """Start a thread whose failure fails the torture."""

        def run() -> None:
            try:
                work(*values)  # type: ignore[operator]
            except Exception as error:
                self._errors.append(f"{work}: {type(error).__name__}: {error}")
                raise

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _watch(self, ended: threading.Event) -> None:
        """See how many jobs wait, and how long it takes to see it."""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        where = {"node": self._witness["RQ_NODE"], "boot": boot}
        with (self._scene.evidence / "probes.witness").open("a", encoding="ascii") as log:
            while not ended.wait(1.0):
                begun = time.clock_gettime(time.CLOCK_BOOTTIME)
                self._users.counts(self._witness)
                seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - begun
                log.write(json.dumps({**where, "boottime": begun, "seconds": seconds, "status": 0}) + "\n")

    def _settle(self) -> float:
        """Everything must come to an end by itself now; returns how many seconds it took."""
        begun = time.monotonic()
        self._users.finish()
        while time.monotonic() - begun < self._plan.settle:
            counts = self._users.counts(self._witness)
            if not any(counts[state] for state in ("pending", "holding", "running")):
                break
            time.sleep(1.0)
        settled = time.monotonic() - begun
        self._fed.set()
        for keeper in self._keepers:
            keeper.join()
        for node in self._nodes:
            node.drain()
        return settled

    def _report(
        self, evidence: Evidence, violations: list[Violation], seconds: float, settled: float
    ) -> dict[str, object]:
        audit = evidence.queue.audit or ()
        ended: Counter[str] = Counter()
        for change in audit:
            if change.new is not None and change.new.state in {"finished", "dead"}:
                ended[change.new.reason or change.new.state] += 1
        claims = sum(c.new.state == "running" for c in audit if c.new and c.old and c.old.state != "running")
        return {
            "seed": self._plan.seed,
            "seconds": round(seconds),
            "settled_after": round(settled, 1),
            "jobs": sum(change.old is None for change in audit),
            "submits": dict(Counter(submit.outcome for submit in evidence.submits)),
            "claims": claims,
            "starts": sum(line.event == "start" for line in evidence.lines),
            "ended": dict(sorted(ended.items())),
            "deleted_or_rotated": sum(change.new is None for change in audit),
            "rotations": len(evidence.rotations),
            "calls": dict(sorted(self._users.calls.items())),
            "feeder_starts": sum(node.starts for node in self._nodes),
            "faults": dict(sorted(self._faults.made.items())),
            "generations": evidence.queue.generation,
            "longest_status": round(max((probe.seconds for probe in evidence.probes), default=0.0), 1),
            "violations": [str(violation) for violation in violations],
        }
