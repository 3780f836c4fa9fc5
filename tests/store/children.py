"""Child programs: a Python process of its own that a test follows line by line, and stops or kills."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent

#: Every program begins with this. ``say`` writes a line to the test, ``hear`` waits for one from it.
_PRELUDE = """
import os, signal, sys
from rq_py import Queue
from rq_py.errors import RqError

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def hear():
    line = b""
    while not line.endswith(b"\\n"):
        byte = os.read(0, 1)
        if not byte:
            os._exit(99)
        line += byte
    return line.decode().strip()

arguments = sys.argv[1:]
say("ready")
"""

#: For the beginning of a program that stops itself where its argument 1 says: before it renames what it has
#: staged ("before adopt"), before its COMMIT, or after that and before the look at `frozen` ("after commit").
STOPS_ITSELF = """
from rq_py import staging
from rq_py.store import transaction
commit, check = transaction.Store._commit, transaction.check_acknowledged
adopt = staging.Staging.adopt
def stop(where):
    if where == arguments[1]:
        arguments[1] = "over"
        say("stopping")
        os.kill(os.getpid(), signal.SIGSTOP)
def stop_and_commit(*values):
    stop("before commit")
    return commit(*values)
def stop_and_check(*values):
    stop("after commit")
    return check(*values)
def stop_and_adopt(*values):
    stop("before adopt")
    return adopt(*values)
staging.Staging.adopt = stop_and_adopt
transaction.Store._commit = stop_and_commit
transaction.check_acknowledged = stop_and_check
"""


#: Says whether a file is locked, ``locked`` or ``free``.
LOOKER = """
import fcntl
descriptor = os.open(arguments[0], os.O_RDWR)
try:
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    say("locked")
else:
    say("free")
"""


class Child:
    """One child program. Its stderr is kept for the message of a failed test."""

    def __init__(self, program: str, *arguments: object, env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(env or {})},
        )
        self.pid = self._process.pid
        self._buffer = b""
        try:
            self.expect("ready")
        except BaseException:
            self.close()
            raise

    def line(self, deadline: float = 20.0) -> str:
        """The next line that the program says; '' when it ended without another."""
        assert self._process.stdout is not None
        end = time.monotonic() + deadline
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(end - time.monotonic(), 0)):
                    raise AssertionError(f"the child said nothing for {deadline} s, only {self._buffer!r}")
                data = os.read(self._process.stdout.fileno(), 65536)
                if not data:
                    return ""
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def is_silent(self, seconds: float) -> bool:
        """Whether the program says nothing for so long: to show that something waits."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return not self._buffer and not selector.select(seconds)

    def expect(self, line: str, deadline: float = 20.0) -> None:
        """The next line must be this one."""
        found = self.line(deadline)
        if found != line:
            self._process.kill()
            _, errors = self._process.communicate()
            raise AssertionError(f"the child said {found!r} instead of {line!r}:\n{errors.decode()}")

    def tell(self, line: str = "go") -> None:
        """Send the program a line."""
        assert self._process.stdin is not None
        os.write(self._process.stdin.fileno(), f"{line}\n".encode())

    def send(self, signum: signal.Signals) -> None:
        """Send the program a signal."""
        self._process.send_signal(signum)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait(20)

    def end(self, deadline: float = 20.0) -> int:
        """Wait for the end and return the exit status, negative for a signal."""
        try:
            return self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the child did not end within {deadline} s") from None

    def errors(self) -> str:
        """What an ended program wrote to stderr."""
        assert self._process.stderr is not None
        return self._process.stderr.read().decode()

    def close(self) -> None:
        """End it, whatever it does, and close the pipes."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait(20)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


@contextmanager
def child(program: str, *arguments: object, env: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Start a program; it is ended when the block is left."""
    started = Child(program, *arguments, env=env)
    try:
        yield started
    finally:
        started.close()
