"""A queue, real feeders on it, and gates at which its jobs wait until the test lets them go on."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from rq_py import Job, Queue, State
from rq_py.localstate import ensure
from tests.conftest import command_line
from tests.waiting import wait_until


@pytest.fixture
def queue(queue_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Queue:
    """A queue of this test, seen from its node; its profiles are not read."""
    monkeypatch.setenv("RQ_NODE", environment["RQ_NODE"])
    return Queue.create(queue_path, settings={"login": "never"})


class FeederProcess:
    """``rqpy feed`` in the foreground, its log in a file."""

    def __init__(self, queue: Path, log: Path, environment: Mapping[str, str], *arguments: str) -> None:
        self._log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                command_line(queue, "feed", *arguments),
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text()

    def says(self, text: str) -> None:
        """Wait until ``text`` is in its log."""
        try:
            wait_until(lambda: text in self.log or self.process.poll() is not None)
        finally:
            assert text in self.log, self.log

    def ends(self, seconds: float = 30) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL, as by a stranger."""
        self.process.kill()
        self.process.wait()


Feed = Callable[..., FeederProcess]


@pytest.fixture
def feed(queue: Queue, environment: dict[str, str], tmp_path: Path) -> Iterator[Feed]:
    """``feed("--max-feed", "2", env={...})`` starts a feeder and returns when it is up."""
    started: list[FeederProcess] = []

    def start(*arguments: str, env: Mapping[str, str] | None = None, up: bool = True) -> FeederProcess:
        log = tmp_path / f"feeder-{len(started)}.log"
        process = FeederProcess(queue.path, log, environment | dict(env or {}), *arguments)
        started.append(process)
        if up:
            process.says("feeding ")
        return process

    yield start
    for process in started:
        process.kill()


class Gate:
    """Fifos at which jobs wait: ``command`` goes into the jobs, ``open(jid)`` lets one go on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.command = f"mkfifo {folder}/gate-$RQ_JID.$RQ_ATTEMPT; read x < {folder}/gate-$RQ_JID.$RQ_ATTEMPT"

    def reached(self, jid: int, attempt: int = 1) -> None:
        """Wait until this job is there: its row says running a moment before it is launched."""
        wait_until((self._folder / f"gate-{jid}.{attempt}").exists, 60)

    def open(self, jid: int, attempt: int = 1) -> None:
        """Let this job go on; waits for it."""
        wait_until(lambda: self._try(self._folder / f"gate-{jid}.{attempt}"), 60)

    def _try(self, path: Path) -> bool:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody waits there yet
            return False
        os.write(descriptor, b"go\n")
        os.close(descriptor)
        return True


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """Gates in the test's own folder."""
    return Gate(tmp_path)


def count(queue: Queue, state: State) -> int:
    """How many jobs are in ``state``."""
    return sum(1 for _ in queue.jobs(state))


def becomes(queue: Queue, jid: int, state: State) -> Job:
    """Wait until job ``jid`` is in ``state``."""
    return wait_until(lambda: job if (job := queue.job(jid)).state is state else None, 20)  # type: ignore[return-value]


def number_in(path: Path) -> int:
    """Wait until a job has written a line with a number into ``path``."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def runner_pid(queue: Queue, environment: Mapping[str, str]) -> int:
    """The pid of the runner of this queue on this test's node, found by its command line."""
    wanted = str(queue.local_state).encode()
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = cmdline.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"rq_py.runner" in words and wanted in words:
            return int(cmdline.parent.name)
    raise AssertionError(f"no runner of {environment['RQ_NODE']}")


def runner_is_gone(pid: int) -> None:
    """Kill the runner and wait until it is gone; it is not this process's child."""
    descriptor = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: has_ended(pid))
    finally:
        os.close(descriptor)


def has_ended(pid: int) -> bool:
    """Whether a process runs no more; whose zombie it is, and who reaps that, is another question."""
    try:
        return b"\nState:\tZ" in Path(f"/proc/{pid}/status").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A node-local state directory below the test's own folder."""
    return ensure(tmp_path / "rqpy-0" / "node-uuid")
