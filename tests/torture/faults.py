"""What is done to the processes of a torture, at random: kill -9, stop and go on, aimed where it hurts."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from tests.oracle.scene import Scene
from tests.torture.nodes import Node
from tests.torture.plan import Plan
from tests.torture.processes import Handle, Process, processes_of

#: A node whose runner was killed and which gets no feeder for a whole lease is beyond what is promised. So
#: its feeder gets this part of the lease to come back and to look after what the runner left.
CALM = 0.6


class Faults:
    """Makes one fault after the other. ``run`` is for a thread of its own."""

    def __init__(self, plan: Plan, scene: Scene, nodes: Sequence[Node]) -> None:
        self.made: Counter[str] = Counter()
        self._plan = plan
        self._scene = scene
        self._nodes = {node.name: node for node in nodes}
        self._chance = plan.chance("faults")
        self._stopped: list[tuple[float, Handle]] = []
        self._ends = time.monotonic() + plan.seconds
        self._deeds: list[tuple[Callable[[random.Random], str | None], int]] = [
            (self._kill_mode, 6),
            (self._stop_mode, 4),
            (self._kill_holder, 6),
            (self._stop_holder, 6),
            (self._kill_in_a_new_generation, 3),
            (self._kill_feeder, 4),
            (self._kill_runner, 2),
            (self._kill_feeder_and_runner, 2),
            (self._stop_feeder, 4),
            (self._stop_runner, 2),
            (self._interrupt_feeder, 1),
            (self._stall_feeder, 2),
            (self._lose_feeder, 1),
            (self._freeze_feeder, 1),
        ]

    def run(self, ended: threading.Event) -> None:
        """Go on until ``ended``; whatever was stopped goes on then."""
        deeds, weights = zip(*self._deeds, strict=True)
        try:
            due = time.monotonic()
            while not ended.wait(0.05):
                self._wake(time.monotonic())
                if time.monotonic() >= due:
                    # Every choice is drawn whether it can be made now or not: so the next ones stay the same.
                    deed = self._chance.choices(deeds, weights)[0]
                    made = deed(random.Random(self._chance.random()))
                    if made is not None:
                        self.made[made] += 1
                    due = time.monotonic() + self._chance.expovariate(1.2)
        finally:
            self._wake(float("inf"))

    # --- stopping and waking --------------------------------------------------------------------------------

    def _stop(self, pid: int, seconds: float) -> bool:
        try:
            handle = Handle(pid)
        except ProcessLookupError:
            return False
        if not handle.send(signal.SIGSTOP):
            handle.close()
            return False
        self._stopped.append((time.monotonic() + seconds, handle))
        return True

    def _wake(self, now: float) -> None:
        for entry in [entry for entry in self._stopped if entry[0] <= now]:
            self._stopped.remove(entry)
            # It may have been stopped twice, and the later end counts.
            if all(handle.pid != entry[1].pid for _, handle in self._stopped):
                entry[1].send(signal.SIGCONT)
            entry[1].close()

    def _kill(self, pid: int) -> bool:
        try:
            handle = Handle(pid)
        except ProcessLookupError:
            return False
        done = handle.send(signal.SIGKILL)
        handle.close()
        return done

    # --- modes, and whoever holds the lock ------------------------------------------------------------------

    def _some(self, kind: str, chance: random.Random, name: str = "") -> Process | None:
        found = [
            process
            for process in processes_of(name or self._plan.prefix)
            if process.kind == kind and name in {"", process.node}
        ]
        return chance.choice(found) if found else None

    def _kill_mode(self, chance: random.Random) -> str | None:
        time.sleep(chance.random() * 0.3)
        mode = self._some("mode", chance)
        return "kill a mode" if mode is not None and self._kill(mode.pid) else None

    def _stop_mode(self, chance: random.Random) -> str | None:
        mode = self._some("mode", chance)
        seconds = chance.random() * 4 * self._plan.lock_lease
        return "stop a mode" if mode is not None and self._stop(mode.pid, seconds) else None

    def _holder(self, chance: random.Random) -> int | None:
        """Who writes into the database right now, waited for; a feeder only where it may be harmed."""
        only_modes = chance.random() < 0.5
        deadline = time.monotonic() + 3.0
        while time.monotonic() < deadline:
            pid = self._scene.holder()
            if pid is not None:
                node = next((node for node in self._nodes.values() if node.feeder == pid), None)
                if node is None or (not only_modes and self._may_harm(node)):
                    return pid
            time.sleep(0.0005)
        return None

    def _kill_holder(self, chance: random.Random) -> str | None:
        pid = self._holder(chance)
        return "kill who writes" if pid is not None and self._kill(pid) else None

    def _stop_holder(self, chance: random.Random) -> str | None:
        pid = self._holder(chance)
        seconds = self._plan.lock_lease * (1.2 + 2 * chance.random())
        return "stop who writes" if pid is not None and self._stop(pid, seconds) else None

    def _kill_in_a_new_generation(self, chance: random.Random) -> str | None:
        """Stop a holder, and when the others make a new generation kill or stop one of these, and another."""
        if self._stop_holder(chance) is None:
            return None
        deadline = time.monotonic() + 2 * self._plan.lock_lease
        while not any(self._scene.queue.glob("db.tmp.*")):
            if time.monotonic() > deadline:
                return "stop who writes"
            time.sleep(0.001)
        time.sleep(chance.random() * 0.03)
        for _ in range(2):
            maker = self._some("mode", chance)
            if maker is None:
                continue
            if chance.random() < 0.5:
                self._kill(maker.pid)
            else:
                self._stop(maker.pid, 2 * self._plan.lock_lease)
        return "disturb a new generation"

    # --- feeders and runners --------------------------------------------------------------------------------

    def _may_harm(self, node: Node) -> bool:
        return time.monotonic() >= max(node.calm_until, node.absent_until)

    def _node(self, chance: random.Random) -> Node | None:
        node = chance.choice(list(self._nodes.values()))
        return node if self._may_harm(node) and node.feeder is not None else None

    def _calm(self, node: Node) -> None:
        node.calm_until = time.monotonic() + CALM * self._plan.node_lease

    def _kill_feeder(self, chance: random.Random) -> str | None:
        node = self._node(chance)
        pid = node.feeder if node else None
        return "kill a feeder" if pid is not None and self._kill(pid) else None

    def _runner_of(self, node: Node, chance: random.Random) -> int | None:
        runner = self._some("runner", chance, node.name)
        return runner.pid if runner else None

    def _kill_runner(self, chance: random.Random) -> str | None:
        node = self._node(chance)
        pid = self._runner_of(node, chance) if node else None
        if node is None or pid is None or not self._kill(pid):
            return None
        self._calm(node)
        return "kill a runner"

    def _kill_feeder_and_runner(self, chance: random.Random) -> str | None:
        node = self._node(chance)
        if node is None or node.feeder is None or (pid := self._runner_of(node, chance)) is None:
            return None
        pids = [pid, node.feeder]
        chance.shuffle(pids)
        for each in pids:
            self._kill(each)
        self._calm(node)
        return "kill feeder and runner"

    def _stop_feeder(self, chance: random.Random) -> str | None:
        node = self._node(chance)
        pid = node.feeder if node else None
        seconds = chance.random() * 0.3 * self._plan.node_lease
        return "stop a feeder" if pid is not None and self._stop(pid, seconds) else None

    def _stop_runner(self, chance: random.Random) -> str | None:
        """Shortly: the feeder waits for it, and renews no lease meanwhile."""
        node = self._node(chance)
        pid = self._runner_of(node, chance) if node else None
        if node is None or pid is None or not self._stop(pid, chance.random() * 0.1 * self._plan.node_lease):
            return None
        self._calm(node)
        return "stop a runner"

    def _interrupt_feeder(self, chance: random.Random) -> str | None:
        """Twice: it stops its jobs."""
        node = self._node(chance)
        if node is None or node.feeder is None:
            return None
        handle = Handle(node.feeder)
        for _ in range(2):
            handle.send(signal.SIGINT)
            time.sleep(0.2)
        handle.close()
        self._calm(node)
        return "interrupt a feeder"

    def _stall_feeder(self, chance: random.Random) -> str | None:
        """For longer than half of the lease, but not all of it: its restartable jobs are ended by then."""
        node = self._node(chance)
        seconds = (0.55 + 0.35 * chance.random()) * self._plan.node_lease
        if node is None or node.feeder is None or not self._stop(node.feeder, seconds):
            return None
        node.absent_until = time.monotonic() + seconds
        return "stall a feeder"

    # --- longer than the lease ------------------------------------------------------------------------------

    def _lost_until(self) -> float | None:
        """Until when a node may be lost: longer than its lease, and back before the end."""
        until = time.monotonic() + 1.4 * self._plan.node_lease
        return until if until < self._ends - 0.5 * self._plan.node_lease else None

    def _only_one_is_lost(self) -> bool:
        return all(time.monotonic() >= node.absent_until for node in self._nodes.values())

    def _lose_feeder(self, chance: random.Random) -> str | None:
        """Its runner stays, and is its jobs' dead man's switch."""
        node, until = self._node(chance), self._lost_until()
        if node is None or until is None or node.feeder is None or not self._only_one_is_lost():
            return None
        node.absent_until = until
        return "lose a feeder" if self._kill(node.feeder) else None

    def _freeze_feeder(self, chance: random.Random) -> str | None:
        node, until = self._node(chance), self._lost_until()
        if node is None or until is None or node.feeder is None or not self._only_one_is_lost():
            return None
        if not self._stop(node.feeder, until - time.monotonic()):
            return None
        node.absent_until = until
        return "freeze a feeder"
