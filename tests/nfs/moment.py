"""Processes of rqpy on a node that start at once, and can stop or die at one exact moment."""

from __future__ import annotations

import itertools
import json
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.nfs.lab.cluster import EVIDENCE, Lab
from tests.nfs.lab.node import Done, Node
from tests.waiting import wait_until

HERE = Path(__file__).resolve().parent

_numbers = itertools.count(1)


class Moment:
    """One moment of one process on a node (those of tests/nfs/stops.py), at which it stops or dies."""

    def __init__(self, node: Node, name: str, action: str = "stop") -> None:
        """``action`` is ``stop`` or ``kill``. A ``Warm`` arms the moments that it is given."""
        self.node = node
        self.name = name
        self.action = action
        self._mark = f"{node.disk}/moment.{next(_numbers)}"
        self._pid = 0

    def __repr__(self) -> str:
        return f"{self.name} of {self.node.name}"

    @property
    def stop(self) -> tuple[str, str, str]:
        """The first arguments of stops.py."""
        return self.action, self.name, self._mark

    @property
    def words(self) -> tuple[str, ...]:
        """The command ``rqpy`` with this moment in it."""
        return (sys.executable, str(HERE / "stops.py"), *self.stop)

    def arm(self) -> None:
        """From now on it happens, once."""
        self.node.sh(': >"$1"', self._mark)

    def wait(self, deadline: float = 180) -> int:
        """Wait until it has happened (again, where it was armed again); the pid of the process."""
        text = wait_until(lambda: self.node.sh('cat "$1"', self._mark).out, deadline, interval=0.2)
        verb = {"stop": "SIGSTOP", "kill": "SIGKILL"}[self.action]
        self.node.diary.fault(f"{verb} at {self}, pid {text.strip()}")
        self._pid = int(text)
        return self._pid

    def go_on(self) -> None:
        """SIGCONT to whom it has stopped."""
        self.node.diary.note(f"SIGCONT after {self}")
        self.node.signal([self._pid], signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to whom it has stopped."""
        self.node.kill([self._pid])


@dataclass(frozen=True)
class Forked:
    """A process that a ``Warm`` has started."""

    node: Node
    words: tuple[str, ...]
    path: str

    def wait(self, deadline: float = 240) -> Done:
        """Wait for its end."""

        def status() -> str:
            return self.node.sh('cat "$1.done" 2>/dev/null || :', self.path).out

        ended = int(wait_until(status, deadline, interval=0.2))
        out, err = (self.node.read(f"{self.path}.{name}").decode() for name in ("out", "err"))
        return Done(self.words, ended, out, err)


class Warm:
    """Starts processes of rqpy on a node, from one that has imported everything (tests/nfs/warm.py)."""

    def __init__(self, node: Node, queue: str, env: Mapping[str, str]) -> None:
        """``env`` says what is imported, mutants as well."""
        self.node = node
        self.queue = queue
        number = next(_numbers)
        self._folder = f"{node.disk}/warm.{number}"
        program = str(HERE / "warm.py")
        environment = {"RQ_NODE": node.name, **env}
        self.process = node.start(
            sys.executable, program, self._folder, env=environment, log=f"warm.{number}"
        )

    def run(self, *words: str, moment: Moment | None = None, stdin: str = "") -> Forked:
        """``rqpy QUEUE`` and these words, in the background."""
        return self._start([self.queue, *words], moment, None, stdin)

    def submit(self, commands: Sequence[str], *options: str, moment: Moment | None = None) -> Forked:
        """A submit of which the oracle hears, in the background; prints the outcome."""
        log = f"{EVIDENCE}/submits.warm.{next(_numbers)}"
        return self._start([self.queue, *options], moment, log, "".join(f"{line}\n" for line in commands))

    def _start(self, words: Sequence[str], moment: Moment | None, log: str | None, stdin: str) -> Forked:
        if moment is not None:
            moment.arm()
        path = f"{self._folder}/{next(_numbers)}"
        stop = moment.stop if moment else None
        request = json.dumps({"words": words, "stop": stop, "log": log, "stdin": stdin})
        wait_until(lambda: self.node.sh('ls "$1" 2>/dev/null || :', self._folder).out, 180, interval=0.5)
        script = 'cat >"$1.new"; mv "$1.new" "$1.request"'
        self.node.run("/bin/sh", "-euc", script, "sh", path, stdin=request)
        return Forked(self.node, tuple(words), path)


def generation(lab: Lab, queue: str = "q") -> int:
    """The number of the last generation of the queue, as the server's disk has it."""
    names = lab.server.sh('ls "$1"', f"/lab/disk/export/{queue}").out.split()
    return max(int(match[1]) for name in names if (match := re.fullmatch(r"db\.(\d+)", name)))
