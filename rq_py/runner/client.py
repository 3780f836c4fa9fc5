"""The feeder's side of the runner's socket: one typed call per message, each with a deadline.

Not thread-safe. After ``RunnerGone`` the object is of no more use: connect anew, say hello, reconcile.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Self

from rq_py.errors import ProtocolError, RunnerError, RunnerGone
from rq_py.runner import protocol, records
from rq_py.runner.identity import boottime
from rq_py.runner.records import Exit, Hello, Key, Launch, LaunchResult, Running, Shell
from rq_py.runner.starting import start_runner
from rq_py.runner.statedir import open_state_dir, socket_address

__all__ = ["Exit", "Hello", "Key", "Launch", "LaunchResult", "RunnerClient", "Running", "Shell"]

#: Seconds that the runner has for an answer. It never waits for anything, so it needs milliseconds.
ANSWER_SECONDS = 10.0
START_SECONDS = 30.0  #: until it is up: Python's own files may come from a slow server, to a busy node

_PIECE = 256 * 1024

#: Seconds for which shells that were named ready are believed to be so without asking.
_SHELLS_SECONDS = 1.0

#: Bytes that the fields around one item of a list may need in its line.
_HEAD_ROOM = 1000


class RunnerClient:
    """A connection to the runner. It takes the place of an earlier one, which the runner then closes."""

    def __init__(self, connected: socket.socket) -> None:
        """Talk through ``connected``; use ``connect`` or ``connect_or_start`` to get one."""
        self._socket = connected
        self._reader = protocol.LineReader()
        self._exits: list[Exit] = []
        self._begun: list[Running] = []
        self._refused: list[tuple[Key, str]] = []
        self._last_id = 0
        self._unsent = b""  # confirmations, which nobody waits for: they travel with the next request
        self._shells: list[Shell] = []  # that the last answer to a launch called ready
        self._shells_at = 0.0

    # --- coming and going ----------------------------------------------------------------------------

    @classmethod
    def connect(cls, state_dir: str | os.PathLike[str]) -> Self:
        """Connect to the runner that serves ``state_dir``.

        Raises:
            RunnerGone: nobody listens there.
            RunnerError: the directory is not private to this user.

        """
        directory = open_state_dir(state_dir)
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connected.settimeout(ANSWER_SECONDS)
            connected.connect(socket_address(directory))
        except OSError as error:
            connected.close()
            why = error.strerror or str(error)
            raise RunnerGone(f"no runner listens in {os.fspath(state_dir)}: {why}") from error
        finally:
            os.close(directory)
        return cls(connected)

    @classmethod
    def connect_or_start(
        cls,
        state_dir: str | os.PathLike[str],
        python: str = sys.executable,
        deadline_seconds: float = START_SECONDS,
    ) -> Self:
        """Connect to the runner that serves ``state_dir``; without one, start it with the program ``python``.

        Raises:
            RunnerGone: none could be reached within ``deadline_seconds``.
            RunnerError: the directory is not private to this user, or the runner could not start.

        """
        deadline = boottime() + deadline_seconds
        was_silent = False
        while True:
            try:
                return cls.connect(state_dir)
            except RunnerGone:
                if boottime() >= deadline:
                    raise
            was_silent = start_runner(state_dir, python, deadline, is_last_try=was_silent)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when an exit was pushed, or the runner is gone.

        An answer may have brought exits along: call ``take_exits`` before every wait, not only after it.
        """
        return self._socket.fileno()

    def close(self) -> None:
        """Disconnect: the runner ends the ready shells, jobs run on."""
        with suppress(RunnerGone):
            self._send_unsent()
        self._socket.close()

    # --- the messages --------------------------------------------------------------------------------

    def hello(self, shell: Sequence[str], env: Mapping[str, str]) -> Hello:
        """Introduce the feeder, its shell (program and arguments) and the environment for its jobs.

        A program without a slash is looked for on the PATH of ``env``.

        Raises:
            ProtocolError: the runner speaks another version of the protocol; it keeps its jobs and exits.
            RunnerError: there is no such shell.
            RunnerGone: the connection is lost.

        """
        program = shell[0] if "/" in shell[0] else shutil.which(shell[0], path=env.get("PATH"))
        if program is None:
            raise RunnerError(f"there is no shell {shell[0]!r} on the PATH; set the queue's 'shell'")
        answer = self._ask(
            "hello",
            protocol=protocol.PROTOCOL,
            shell=[_wire_text(text) for text in (program, *shell[1:])],
            env={_wire_text(name): _wire_text(value) for name, value in env.items()},
        )
        self._shells = []
        self._begun, self._refused = [], []
        return records.read_hello(answer)

    def ready(self, count: int) -> list[Shell]:
        """Return up to ``count`` shells that wait for a job, and have the runner keep that many ahead.

        They stay ready, and are returned again, until one of them is launched or this client disconnects.
        The answer to a launch a moment ago may have named enough of them, then nobody is asked.

        Raises:
            RunnerError: not one could be started.
            RunnerGone: the connection is lost.

        """
        if len(self._shells) < count or boottime() > self._shells_at + _SHELLS_SECONDS:
            self._take_shells(self._ask("ready", count=count))
        return self._shells[:count]

    def _take_shells(self, answer: Mapping[str, object]) -> None:
        self._shells = [records.read_shell(item) for item in protocol.take_objects(answer, "shells")]
        self._shells_at = boottime()

    def launch(self, jobs: Iterable[Launch], slots: int) -> LaunchResult:
        """Have each job executed in its shell; call this after the claims were committed, never before.

        Jobs that name no shell are launched while fewer than ``slots`` jobs run, and wait until then; what
        becomes of them ``take_begun``, ``take_refused`` and their exits tell.

        Raises:
            RunnerGone: the connection is lost; the next hello tells which of the jobs were launched.

        """
        result = LaunchResult([], [])
        items: list[bytes] = []
        given: set[Key] = set()
        for job in jobs:
            given.add(job.key)
            fields = records.wire_key(job.key)
            fields |= {"pid": job.pid, "restartable": job.restartable, "script": job.script}
            try:
                item = protocol.encode(fields, protocol.MAX_LINE - _HEAD_ROOM)
            except ProtocolError as error:
                result.failed.append((job.key, str(error)))
            else:
                items.append(item[:-1])
        self._last_id += 1
        head = {"do": "launch", "id": self._last_id, "slots": slots}
        for line in protocol.encode_batches(head, "jobs", items):
            answer = self._exchange(line)
            self._take_shells(answer)
            result.launched.extend(map(records.read_key, protocol.take_objects(answer, "launched")))
            result.failed.extend(
                (records.read_key(item), protocol.take_text(item, "error"))
                for item in protocol.take_objects(answer, "failed")
            )
        given.difference_update(result.launched, (key for key, _ in result.failed))
        result.waiting.extend(given)
        return result

    def withdraw(self) -> list[Key]:
        """Have the runner drop the jobs that wait for a slot; return them: none of them will be launched.

        Raises RunnerGone when the connection is lost, which drops them as well.
        """
        answer = self._ask("withdraw")
        return [records.read_key(item) for item in protocol.take_objects(answer, "withdrawn")]

    def confirm(self, keys: Iterable[Key]) -> None:
        """Have the runner forget these exits, orphans and rebooted ones: the database has their outcome.

        This does not wait, and is sent with the next request, by the next ``take_exits``, or by ``close``.
        Raises RunnerGone when the connection is lost.
        """
        items = [protocol.encode(records.wire_key(key))[:-1] for key in keys]
        self._last_id += 1
        for line in protocol.encode_batches({"do": "confirm", "id": self._last_id}, "exits", items):
            self._unsent += line
        if len(self._unsent) > _PIECE:
            self._send_unsent()

    def kill(self, key: Key, signum: int, reason: str | None = None) -> int:
        """Send ``signum`` to all processes of a job; return how many there were.

        With a ``reason`` its exit has that, and is told only when nothing of it is left. A job that has ended
        can still be killed until it is confirmed, where it was before. For others the answer is 0.

        Raises RunnerGone when the connection is lost, RunnerError for a signal that does not exist.
        """
        answer = self._ask("kill", **records.wire_key(key), signal=int(signum), reason=reason)
        return protocol.take_int(answer, "signalled")

    def renewed(self, lease_seconds: float, at: float | None = None) -> None:
        """Report that the node's lease of ``lease_seconds`` was renewed at ``at`` (``boottime()``; now).

        Pass the time from *before* the renewal: a feeder that was frozen in between must not look alive.
        Raises RunnerGone when the connection is lost.
        """
        self._ask("renewed", lease=lease_seconds, at=boottime() if at is None else at)

    def running(self) -> list[Running]:
        """Return the jobs that the runner runs now. Raises RunnerGone when the connection is lost."""
        answer = self._ask("running")
        return [records.read_running(item) for item in protocol.take_objects(answer, "running")]

    def drop(self) -> None:
        """End all ready shells and keep none ahead. Raises RunnerGone when the connection is lost."""
        self._shells = []
        self._ask("drop")

    def take_exits(self) -> list[Exit]:
        """Return the exits that were pushed since the last call; never waits.

        Raises:
            RunnerGone: the connection is lost (exits that came before are returned first).

        """
        try:
            self._send_unsent()
            self._socket.settimeout(0)
            while True:
                self._take_in(self._socket.recv(_PIECE))
        except BlockingIOError:
            pass
        except (OSError, RunnerGone) as error:
            if not self._exits:  # else the next call says so
                raise error if isinstance(error, RunnerGone) else self._gone(str(error)) from None
        exits, self._exits = self._exits, []
        return exits

    def take_begun(self) -> list[Running]:
        """Return the jobs that have waited for a slot and run now, as far as was told; never waits."""
        begun, self._begun = self._begun, []
        return begun

    def take_refused(self) -> list[tuple[Key, str]]:
        """Return the jobs that have waited and will not be launched, each with the reason; never waits."""
        refused, self._refused = self._refused, []
        return refused

    # --- asking --------------------------------------------------------------------------------------

    def _ask(self, do: str, **fields: object) -> dict[str, object]:
        self._last_id += 1
        return self._exchange(protocol.encode({"do": do, "id": self._last_id, **fields}))

    def _send_unsent(self) -> None:
        unsent, self._unsent = self._unsent, b""
        if unsent:
            try:
                self._socket.settimeout(ANSWER_SECONDS)
                self._socket.sendall(unsent)
            except OSError as error:
                raise self._gone(str(error)) from error

    def _exchange(self, line: bytes) -> dict[str, object]:
        """Send one request and return the answer to it; exits that come in between are kept.

        Sending may wait for the runner, but never the runner for us, so the two cannot block each other.
        """
        deadline = boottime() + ANSWER_SECONDS
        try:
            self._socket.settimeout(ANSWER_SECONDS)
            self._socket.sendall(self._unsent + line)
            self._unsent = b""
            answer = None
            while answer is None:
                self._socket.settimeout(max(deadline - boottime(), 0.001))
                answer = self._take_in(self._socket.recv(_PIECE))
        except OSError as error:  # TimeoutError is one
            raise self._gone(str(error)) from error
        if answer.get("ok") is True:
            return answer
        why = f"the runner refused: {answer.get('error')}"
        raise ProtocolError(why) if "protocol" in answer else RunnerError(why)

    def _take_in(self, piece: bytes) -> dict[str, object] | None:
        """Take in what was received, keep the exits and return the answer, if it is complete."""
        if not piece:
            raise self._gone("it closed the connection")
        answer = None
        try:
            for line in self._reader.feed(piece):
                message = protocol.decode(line)
                if "event" in message:
                    self._take_event(message)
                elif message.get("id") == self._last_id:
                    answer = message
                # Else it is the answer to a confirmation, which nobody waits for.
        except ProtocolError as error:
            raise self._gone(f"what it sends makes no sense: {error}") from error
        return answer

    def _take_event(self, message: dict[str, object]) -> None:
        """Keep what was pushed until it is taken."""
        match message["event"]:
            case "exits":
                self._exits += map(records.read_exit, protocol.take_objects(message, "exits"))
            case "begun":
                self._begun += map(records.read_running, protocol.take_objects(message, "jobs"))
            case "refused":
                self._refused += (
                    (records.read_key(item), protocol.take_text(item, "error"))
                    for item in protocol.take_objects(message, "jobs")
                )

    def _gone(self, why: str) -> RunnerGone:
        with suppress(OSError):  # not close: whoever still waits on the descriptor is to be woken
            self._socket.shutdown(socket.SHUT_RDWR)
        return RunnerGone(f"the connection to the runner is lost: {why}")


def _wire_text(text: str) -> str:
    """Return an operating system's string as the wire has it, whatever encoding this process's locale has."""
    return os.fsencode(text).decode("utf-8", "surrogateescape")
