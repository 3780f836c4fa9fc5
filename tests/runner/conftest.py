"""A runner in a directory of its own, and the few verbs that its tests need."""

from __future__ import annotations

import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from rq_py.runner import protocol
from rq_py.runner.client import Exit, Hello, Key, Launch, LaunchResult, RunnerClient
from rq_py.runner.processes import members
from rq_py.runner.statedir import SOCKET

DEADLINE = 15.0

#: What every script of a feeder begins with: the runner's two descriptors are not for the job.
BEGIN = "exec 3<&- 4<&-; unset go\n"


class RunnerUnderTest:
    """A runner as a child of the test, at most one feeder connected to it, and the jobs launched so far."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.process: subprocess.Popen[bytes] | None = None
        self.client: RunnerClient | None = None
        self.launched: list[tuple[int, int]] = []
        self._jids = itertools.count(1)

    # --- the runner ---

    def start(self) -> int:
        """Start the program, wait until it says that it is ready, and return its pid."""
        with (self.state_dir / "stderr").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rq_py.runner", "--state", str(self.state_dir)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )
        assert self.process.stdout is not None
        with self.process.stdout:
            assert self.process.stdout.readline() == protocol.READY, self.log()
        return self.process.pid

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def log(self) -> str:
        return (self.state_dir / "stderr").read_text()

    def kill(self) -> None:
        """kill -9 the runner."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(DEADLINE)

    def wait_end(self) -> int:
        assert self.process is not None
        return self.process.wait(DEADLINE)

    def open_fds(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    # --- the feeder ---

    def connect(self, shell: str = "sh", env: Mapping[str, str] = os.environ) -> Hello:
        """Connect as a new feeder and say hello."""
        if self.client is not None:
            self.client.close()
        self.client = RunnerClient.connect(self.state_dir)
        return self.client.hello([shell], env)

    @property
    def feeder(self) -> RunnerClient:
        assert self.client is not None
        return self.client

    def disconnect(self) -> None:
        self.feeder.close()

    def order(self, script: str, *, restartable: bool = False) -> Launch:
        """Return an order for a job that executes ``script`` in a shell which is ready now."""
        (shell,) = self.feeder.ready(1)
        key = Key(next(self._jids), 1, "0123456789abcdef.test")
        self.launched.append((shell.pid, shell.start))
        return Launch(shell.pid, key, restartable, BEGIN + script)

    def launch(self, script: str, *, restartable: bool = False) -> Key:
        """Launch a job; it must not fail to."""
        order = self.order(script, restartable=restartable)
        assert self.feeder.launch([order], 1) == LaunchResult([order.key], [])
        return order.key

    def wait_exits(self, count: int = 1) -> list[Exit]:
        """Wait until ``count`` exits were pushed."""
        exits: list[Exit] = []
        end = time.monotonic() + DEADLINE
        while True:
            exits += self.feeder.take_exits()
            if len(exits) >= count:
                return exits
            assert time.monotonic() < end, f"only {exits} after {DEADLINE} s\n{self.log()}"
            select.select([self.feeder], [], [], 0.5)

    def run(self, script: str) -> Exit:
        """Launch a job and wait for its end."""
        key = self.launch(script)
        (ended,) = self.wait_exits()
        assert ended.key == key
        return ended

    # --- afterwards ---

    def clean_up(self) -> None:
        if self.client is not None:
            self.client.close()
        for pid, start in self.launched:
            for member, _ in members(pid, start):
                with suppress(ProcessLookupError):
                    os.kill(member, signal.SIGKILL)
        if self.process is not None:
            self.process.kill()
            self.process.wait(DEADLINE)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A directory as localstate.py makes it."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    path.chmod(0o700)
    return path


@pytest.fixture
def stopped(state_dir: Path) -> Iterator[RunnerUnderTest]:
    """A runner that is still to be started."""
    under_test = RunnerUnderTest(state_dir)
    yield under_test
    under_test.clean_up()


@pytest.fixture
def runner(stopped: RunnerUnderTest) -> RunnerUnderTest:
    """A running runner with a feeder that has said hello."""
    stopped.start()
    stopped.connect()
    return stopped


def raw_connection(state_dir: Path) -> socket.socket:
    """Return a bare connection to the runner's socket, with a deadline."""
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.connect(str(state_dir / SOCKET))  # without a deadline: it would not wait while many others do
    connected.settimeout(DEADLINE)
    return connected
