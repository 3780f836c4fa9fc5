"""The people of a torture: they submit, change, delete, resubmit, rotate, and remember what they named."""

from __future__ import annotations

import random
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from tests.oracle.scene import Scene

#: Jobs that wait; with more, nobody submits.
BACKLOG = 80
#: How Python begins what no user should ever see.
TRACEBACK = "Traceback (most recent call last)"


class Users:
    """Everybody but the feeders. What they name is remembered before they ask, whether it works or not."""

    def __init__(self, scene: Scene, rotations: Path, environment: Mapping[str, str]) -> None:
        self.jids: list[int] = []
        self.removed: set[int] = set()
        self.held: set[int] = set()
        self.resubmitted: set[int] = set()
        self.calls: Counter[str] = Counter()
        self.tracebacks: Counter[str] = Counter()
        self.waiting = 0  #: how many jobs are pending, as somebody has last seen
        self._scene = scene
        self._rotations = rotations
        self._environment = dict(environment)
        self._unfinished_rotations: list[Path] = []

    def submit(self, chance: random.Random, ended: threading.Event) -> None:
        """Submit until ``ended``."""
        while not ended.is_set():
            if self.waiting < BACKLOG:
                commands = [self._command(chance) for _ in range(chance.randint(1, 8))]
                options = [f"--priority={chance.randint(0, 3)}"]
                if chance.random() < 0.5:
                    options.append("--restartable")
                answer = self._scene.submit(commands, *options, env=self._environment)
                self.calls[f"submit {answer.outcome}"] += 1
                self.jids += answer.jids
                if TRACEBACK in answer.said:
                    self.tracebacks[answer.said] += 1
            ended.wait(chance.random())

    def _command(self, chance: random.Random) -> str:
        """Most jobs are short; some outlive half of a node's lease."""
        seconds = 4 * chance.random() ** 3 if chance.random() < 0.92 else 15 + 10 * chance.random()
        return self._scene.job(seconds, chance.choice([0, 0, 0, 1, 2, 3]))

    def change(self, chance: random.Random, ended: threading.Event) -> None:
        """Do one thing or another to some jobs until ``ended``."""
        deeds: list[tuple[Callable[[list[int]], object], int]] = [
            (lambda jids: self._call("update", *_words(jids), f"priority={chance.randint(0, 9)}"), 4),
            (self._hold, 2),
            (lambda jids: self._call("update", *_words(jids), "state=pending"), 4),
            (self._delete, 2),
            (self._resubmit, 2),
            (self._rotate, 1),
            (lambda _: self._call("recover", "--break"), 1),
            (lambda _: self._call("list", "all", "--output", "jsonl"), 1),
        ]
        while not ended.wait(chance.random() * 2):
            if self.jids:
                (deed,) = chance.choices([deed for deed, _ in deeds], [weight for _, weight in deeds])
                recent = self.jids[-60:]
                deed([chance.choice(recent) for _ in range(chance.randint(1, 4))])

    def _hold(self, jids: list[int]) -> None:
        self.held.update(jids)
        self._call("update", *_words(jids), "state=holding")

    def _delete(self, jids: list[int]) -> None:
        self.removed.update(jids)
        self._call("delete", *_words(jids))

    def _resubmit(self, jids: list[int]) -> None:
        self.resubmitted.update(jids)
        self._call("resubmit", *_words(jids))

    def _rotate(self, _jids: list[int]) -> None:
        place = self._rotations / f"r{self.calls['rotate']}"
        if self._call("rotate", str(place)):
            self._unfinished_rotations.append(place)

    def _call(self, *words: str) -> int:
        """Call rqpy; its exit status. A mode may well refuse, or be killed."""
        self.calls[words[0]] += 1
        done = subprocess.run(
            self._scene.command(*words),
            env={**self._scene.environment, **self._environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if TRACEBACK in done.stderr:
            self.tracebacks[done.stderr] += 1
        return done.returncode

    def finish(self) -> None:
        """After the faults: complete the rotations that were killed, and hold nothing any more."""
        for place in self._unfinished_rotations:
            if place.exists():
                self._call("rotate", str(place))
        if self.counts()["holding"]:
            self._call("update", "holding", "state=pending")

    def counts(self, environment: Mapping[str, str] | None = None) -> dict[str, int]:
        """How many jobs are in each state; asked in ``environment``, if it is not theirs."""
        counts = yaml.safe_load(self._scene.rqpy("status", env=environment or self._environment))["jobs"]
        assert isinstance(counts, dict)
        self.waiting = counts["pending"]
        return counts


def _words(jids: list[int]) -> list[str]:
    return [str(jid) for jid in sorted(set(jids))]
