"""A queue beside the one on trial: for negative controls, whose database is meant to break."""

from __future__ import annotations

import json
import sys

from tests.nfs.lab.cluster import MOUNT, Lab
from tests.nfs.lab.node import Done, Node
from tests.nfs.lab.trial import ORACLE
from tests.nfs.moment import Forked, Moment, Warm
from tests.oracle.scene import MUTANTS, REPOSITORY


class ControlQueue:
    """Its jobs never run; what was acknowledged is remembered here."""

    def __init__(self, lab: Lab, name: str, mutant: str = "") -> None:
        """Make it, on the first node, with that protection taken away everywhere."""
        self.lab = lab
        self.name = name
        self.path = f"{MOUNT}/{name}"
        self.env = {"PYTHONPATH": str(REPOSITORY)}
        if mutant:
            self.env = {"PYTHONPATH": f"{MUTANTS}:{REPOSITORY}", "RQ_TEST_MUTANT": mutant}
        self.acknowledged: set[int] = set()
        self.warm: dict[Node, Warm] = {node: Warm(node, self.path, self.env) for node in lab.clients}
        created = self.warm[lab.clients[0]].run("create", "shell=sh", "login=never", "lock_lease=10").wait()
        assert created.status == 0, created

    def start(self, node: Node, jobs: int, moment: Moment | None = None) -> Forked:
        """Submit so many jobs, in the background."""
        commands = "".join(f"true {job}\n" for job in range(jobs))
        words = ("submit", "--output", "jsonl", "--fields", "jid", "-")
        return self.warm[node].run(*words, moment=moment, stdin=commands)

    def submit(self, node: Node, jobs: int = 1) -> Done:
        """Submit; a broken database may refuse it."""
        return self.heard(self.start(node, jobs).wait())

    def heard(self, done: Done) -> Done:
        """Remember what this submit has acknowledged."""
        if done.status == 0:
            self.acknowledged |= {json.loads(line)["jid"] for line in done.out.splitlines()}
        return done

    def broken(self) -> str:
        """What is wrong with the database on the server's disk, '' for nothing.

        A copy is looked at, so that nothing is rolled back in the original.
        """
        done = self.lab.server.sh(
            'rm -rf /run/copied; mkdir /run/copied; cp -a "$1"/db.* /run/copied; "$2" "$3" dump /run/copied',
            f"/lab/disk/export/{self.name}", sys.executable, str(ORACLE / "audit.py"),
        )  # fmt: skip
        found = json.loads(done.out)
        if found["integrity"] != "ok":
            return str(found["integrity"])
        lost = self.acknowledged - {row["jid"] for row in found["rows"]}
        return f"{len(lost)} acknowledged jobs are lost: {sorted(lost)[:9]}" if lost else ""
