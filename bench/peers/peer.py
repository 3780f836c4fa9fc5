"""What every peer can do: be installed, drain a queue, take a job from the command line."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import Self

from bench.case import CannotRun
from bench.tools import Tools

#: Seconds that a peer may take for anything.
PATIENCE = 300.0


@dataclass(frozen=True)
class Client:
    """How one job is submitted: ``prefix`` and the job's shell command are the argv."""

    prefix: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def argv(self, command: str) -> list[str]:
        """The argv that submits a shell command."""
        return [*self.prefix, command]


class Peer:
    """Somebody to compare with; a subclass says how. After ``install`` it has ``version``.

    ``keeps`` says where it keeps its queue when the machine loses its power, '' where it keeps none: only
    those that keep it are a promise's measure. ``most_jobs`` is how many it is given to drain: rates are per
    second, and slow ones, or those with a process for each waiting job, get fewer.
    """

    name = ""
    title = ""
    keeps = ""
    note = ""
    most_jobs = 5000
    is_limit = False  #: no queue at all, but what the machine can do
    can_submit = True  #: whether ``accepting`` is there
    has_worker = True  #: whether a worker of its own waits for jobs
    version = ""

    def install(self, tools: Tools) -> str:
        """Have the program here, and return its version; raises CannotRun."""
        raise NotImplementedError

    def drain(self, folder: Path, shell: str, jobs: int) -> float:
        """Run ``jobs`` queued jobs ``true``, and return the seconds from the workers' start."""
        raise NotImplementedError

    def accepting(self, folder: Path, *, workers: bool) -> AbstractContextManager[Client]:
        """An empty queue to submit to, its workers waiting or not there at all."""
        raise NotImplementedError


class Fifo:
    """A signal from a job: its command ``>PATH`` is noticed at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    @property
    def command(self) -> str:
        """The shell command that gives the signal."""
        return f">{self.path}"

    def wait(self, process: subprocess.Popen[bytes] | None = None) -> float:
        """Wait for the signal; returns the time (monotonic). Raises CannotRun when it does not come.

        ``process`` is the one that ought to give it: when it ends, there is nothing to wait for.
        """
        deadline = time.monotonic() + PATIENCE
        poll = select.poll()
        poll.register(self._descriptor)
        while not poll.poll(500):
            if time.monotonic() > deadline:
                raise CannotRun(f"the last job did not run within {PATIENCE:.0f} s")
            if process is not None and process.poll() is not None and not poll.poll(0):
                raise CannotRun(f"the worker ended with status {process.returncode} before the last job")
        return time.monotonic()

    def again(self) -> None:
        """Be ready for another signal."""
        os.close(self._descriptor)
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        self.path.unlink()


class Gate:
    """Jobs ``command`` that wait until it is opened, so that a queue can be filled behind them.

    The end of the ``with`` block lets all go that still wait.
    """

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._path = path
        # For reading as well, so that the lines stay in it until they are read.
        self._descriptor = os.open(path, os.O_RDWR)
        self.command = f"read x <{path}; :"

    def open(self, count: int) -> None:
        """Let ``count`` jobs go, those that do not wait yet included."""
        os.write(self._descriptor, b"\n" * count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink()  # first: who comes late is not to wait for ever
        os.close(self._descriptor)


@contextmanager
def daemon(
    argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in the background for the time of a block, ended with TERM, and KILL if need be.

    It is in a session of its own, so that ^C reaches the harness alone, which then ends it in order; and
    where the harness is killed, the kernel ends it (prctl(2), PR_SET_PDEATHSIG, through setpriv(1)).
    """
    follow = ["setpriv", "--pdeathsig", "TERM", "--"] if which("setpriv") else []
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*follow, *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if environment is None else dict(environment),
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(
    argv: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    text: str = "",
    cwd: Path | None = None,
) -> str:
    """Run a program to its end, with ``text`` as its stdin; returns its output, raises SubprocessError."""
    return subprocess.run(
        argv,
        input=text,
        env=None if environment is None else dict(environment),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    ).stdout
