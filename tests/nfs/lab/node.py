"""The vocabulary of the scenarios: what can be run on a node, and done to it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.nfs.lab.channel import Agent, ChannelError
from tests.nfs.lab.diary import Diary
from tests.nfs.lab.machine import Machine
from tests.nfs.lab.wire import Wire

#: The command ``rqpy``, with the Python that runs the lab.
RQPY = (sys.executable, "-m", "rq_py")

_PATH = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CommandFailed(AssertionError):
    """A command on a node ended with another status than 0."""


@dataclass(frozen=True)
class Done:
    """How a command ended: exit status, or minus the signal; what it printed."""

    argv: tuple[str, ...]
    status: int
    out: str
    err: str


@dataclass(eq=False)
class Process:
    """A command that was started on a node; it ends with the boot of its node."""

    node: Node
    argv: tuple[str, ...]
    pid: int
    _agent: Agent = field(repr=False)
    _number: int = field(repr=False)
    _done: Done | None = None

    def wait(self, timeout: float = 120) -> Done:
        """Wait for its end. Raises ChannelError when that takes longer, or the node goes off."""
        if self._done is None:
            answer = self._agent.next(self._number, timeout)
            self._done = Done(self.argv, answer["status"], answer["out"], answer["err"])
        return self._done

    def done(self) -> Done | None:
        """How it ended; None as long as it runs, and where it went down with its node."""
        if self._done is None and self._agent.is_open and self._agent.has_answer(self._number):
            with suppress(ChannelError):  # it went down right now
                self.wait()
        return self._done

    @property
    def is_running(self) -> bool:
        """Whether it is known neither to have ended nor to have gone down with its node."""
        return self.done() is None and self._agent.is_open

    def signal(self, number: int) -> bool:
        """Send a signal; whether the process was still there."""
        return bool(self._agent.ask("signal", pids=[self.pid], signal=number)["pids"])


@dataclass(frozen=True)
class Seen:
    """A process as the guest's /proc shows it."""

    pid: int
    parent: int
    state: str
    argv: list[str]
    env: dict[str, str]

    @property
    def line(self) -> str:
        """Its arguments as one text."""
        return " ".join(self.argv)


class Link:
    """The cable of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def cut(self) -> None:
        """Lose every packet from and to the node from now on; neither side is told."""
        self._node.diary.fault(f"cut {self._node.name}")
        self._node.wire.cut(self._node.hardware)

    def heal(self) -> None:
        """Put the cable back."""
        self._node.diary.note(f"heal {self._node.name}")
        self._node.wire.heal(self._node.hardware)


class Node:
    """A place with a host name, an address and a mount of its own, where commands run."""

    #: What stands before each command to run it in this node's namespaces.
    prefix: tuple[str, ...] = ()

    def __init__(
        self, name: str, machine: Machine, address: str, hardware: str, wire: Wire, diary: Diary
    ) -> None:
        self.name = name
        self.machine = machine
        self.address = address
        self.hardware = hardware
        self.wire = wire
        self.diary = diary
        self.link = Link(self)
        #: Its part of its machine's disk, which survives a loss of power: evidence, logs, /var/tmp.
        self.disk = f"/lab/disk/nodes/{name}"
        self.logs = f"{self.disk}/logs"

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def start(
        self,
        *argv: str,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: str = "",
        log: str | None = None,
    ) -> Process:
        """Start a command in the background; its output goes to the file ``log`` in ``logs``, if named."""
        environment = {
            "PATH": _PATH,
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "LAB_NODE": self.name,
            **(env or {}),
        }
        output = f"{self.logs}/{log}" if log else None
        agent = self.machine.agent
        number = agent.send(
            "start", argv=[*self.prefix, *argv], env=environment, cwd=cwd, stdin=stdin, output=output
        )
        pid = agent.next(number, 60)["pid"]
        return Process(self, argv, pid, agent, number)

    def run(
        self,
        *argv: str,
        check: bool = True,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: str = "",
    ) -> Done:
        """Run a command to its end. Raises CommandFailed with its words, unless ``check`` is False.

        After ``timeout`` seconds it is killed, and ChannelError raised.
        """
        process = self.start(*argv, env=env, cwd=cwd, stdin=stdin)
        try:
            done = process.wait(timeout)
        except ChannelError:
            if self.machine.is_on:
                process.signal(signal.SIGKILL)
            raise
        if check and done.status != 0:
            raise CommandFailed(f"{self.name}: {' '.join(argv)} ended with {done.status}: {done.err.strip()}")
        return done

    def sh(self, script: str, *arguments: str, check: bool = True, timeout: float = 120) -> Done:
        """Run a shell script with arguments; a failing line ends it."""
        return self.run("/bin/sh", "-euc", script, "sh", *arguments, check=check, timeout=timeout)

    def python(
        self, *arguments: str, timeout: float = 120, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> Done:
        """Run the Python that runs the lab, as ``run``."""
        return self.run(sys.executable, *arguments, timeout=timeout, env=env, stdin=stdin)

    def rqpy(
        self,
        *arguments: str,
        check: bool = True,
        timeout: float = 120,
        stdin: str = "",
        name: str | None = None,
    ) -> Done:
        """Run ``rqpy`` on this node, as this node or as the one called ``name``."""
        return self.run(
            *RQPY, *arguments, check=check, timeout=timeout, stdin=stdin, env={"RQ_NODE": name or self.name}
        )

    def processes(self, text: str = "", env: Mapping[str, str] | None = None) -> list[Seen]:
        """This node's processes with ``text`` in their arguments and ``env`` in their environment."""
        wanted = {"LAB_NODE": self.name, **(env or {})}
        seen = [Seen(**found) for found in self.machine.agent.ask("processes")["processes"]]
        return [process for process in seen if text in process.line and wanted.items() <= process.env.items()]

    def kill(self, what: Process | str | Sequence[int], number: int = signal.SIGKILL) -> list[int]:
        """Signal a process, pids, or all processes here whose arguments contain a text; who was there."""
        if isinstance(what, Process):
            what = [what.pid]
        elif isinstance(what, str):
            what = [seen.pid for seen in self.processes(what)]
        self.diary.fault(f"{signal.Signals(number).name} to {[*what]} on {self.name}")
        return self.signal(what, number)

    def signal(self, pids: Sequence[int], number: int) -> list[int]:
        """Signal processes, which the diary does not count as a fault; who was there."""
        return list(self.machine.agent.ask("signal", pids=list(pids), signal=number)["pids"])

    def read(self, path: str) -> bytes:
        """A file, by way of the agent: not for files on NFS, on which the agent could hang."""
        data, more = bytearray(), True
        while more:
            answer = self.machine.agent.ask("read", path=path, offset=len(data))
            data += answer["data"].encode("latin-1")
            more = answer["more"]
        return bytes(data)

    def step_clock(self, seconds: float) -> None:
        """Set the wall clock forward (or back), for all nodes of this machine."""
        self.diary.fault(f"step the clock of {self.machine.name} by {seconds} s")
        self.machine.agent.ask("step", nanoseconds=int(seconds * 1e9))

    def clock_rate(self, factor: float) -> None:
        """Let all clocks of this machine run fast or slow: 0.9 to 1.1 (adjtimex(2))."""
        self.diary.fault(f"the clocks of {self.machine.name} run at {factor}")
        self.machine.note_time()
        self.run("busybox", "adjtimex", "-t", str(round(10_000 * factor)))
        self.machine.note_time()
