"""A feeder on a node of the lab: one node of the queue, with its runner and its jobs."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence

from tests.nfs.lab.node import RQPY, CommandFailed, Node, Process, Seen
from tests.waiting import wait_until


class Feeder:
    """``rqpy feed`` under its own name (RQ_NODE), so that a machine can hold several nodes of the queue."""

    def __init__(
        self, node: Node, name: str, queue: str, options: Sequence[str], env: Mapping[str, str]
    ) -> None:
        self.node = node
        self.name = name
        self.argv = (*RQPY, queue, "feed", *options)
        self.env = {"RQ_NODE": name, **env}
        self.process: Process | None = None
        self._lives = 0

    def __repr__(self) -> str:
        return f"<feeder {self.name} on {self.node.name}>"

    @property
    def log(self) -> str:
        """The name of the present life's log in the node's logs."""
        return f"feeder.{self.name}.{self._lives}"

    def start(self) -> None:
        """Start it in the foreground, without waiting for anything."""
        self._lives += 1
        self.process = self.node.start(*self.argv, env=self.env, log=self.log)

    def wait_until_up(self, deadline: float = 180) -> None:
        """Wait until it feeds. Raises CommandFailed when it ends instead."""
        assert self.process is not None, "was never started"

        def is_up() -> bool:
            self.fail_if_failed()
            return b" feeding " in self._said()

        wait_until(is_up, deadline, interval=0.5)

    @property
    def is_running(self) -> bool:
        """Whether the process that ``start`` started is still there."""
        return self.process is not None and self.process.is_running

    def stop(self, timeout: float = 180) -> None:
        """TERM: it drains and ends. Does nothing where it was killed or went down with its node.

        Raises CommandFailed when it ended with an error, now or earlier: that is never to go unseen.
        """
        if self.process is None:
            return
        if self.process.is_running:
            self.process.signal(signal.SIGTERM)
            self.process.wait(timeout)
        self.fail_if_failed()

    def fail_if_failed(self) -> None:
        """Raise CommandFailed with the end of its log when it ended with an error, not by a signal."""
        done = self.process and self.process.done()
        if done and done.status > 0:
            said = self._said().decode(errors="replace").strip()
            raise CommandFailed(f"{self} ended with {done.status}: {said[-500:]}")

    def _said(self) -> bytes:
        return self.node.read(f"{self.node.logs}/{self.log}")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the feeder alone; its runner and jobs go on."""
        assert self.process is not None, "was never started"
        self.node.diary.fault(f"{signal.Signals(number).name} to feeder {self.name}")
        self.process.signal(number)

    def kill_runner(self, number: int = signal.SIGKILL) -> list[int]:
        """Send a signal to this feeder's runner alone; the pids."""
        pids = [seen.pid for seen in self.processes("rq_py.runner")]
        self.node.diary.fault(f"{signal.Signals(number).name} to the runner of {self.name}")
        return self.node.signal(pids, number)

    def processes(self, text: str = "") -> list[Seen]:
        """Itself, its runner, shells and jobs: those with ``text`` in their arguments."""
        return self.node.processes(text, {"RQ_NODE": self.name})
