"""Conversations with one machine over Unix sockets: with its agent, and with QEMU itself (QMP)."""

from __future__ import annotations

import itertools
import json
import queue
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


class ChannelError(Exception):
    """The machine did not answer, refused, or is gone."""


def listen(path: Path) -> socket.socket:
    """A socket that QEMU connects to."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    return listener


class Agent:
    """Requests to the agent of one boot, from any thread; answers come in any order."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[Answer]] = {0: queue.SimpleQueue()}
        self._sending = threading.Lock()
        self._connection: socket.socket | None = None
        self._ended = False
        threading.Thread(target=self._receive, name="agent", daemon=True).start()

    def hello(self, timeout: float) -> str:
        """Wait until the agent has come up; its boot id."""
        return str(self.next(0, timeout)["boot"])

    def ask(self, op: str, timeout: float = 60, **request: object) -> Answer:
        """One request and its one answer."""
        number = self.send(op, **request)
        try:
            return self.next(number, timeout)
        finally:
            self._answers.pop(number, None)

    def send(self, op: str, **request: object) -> int:
        """Send a request that has several answers: fetch them by ``next``."""
        number = next(self._numbers)
        self._answers[number] = queue.SimpleQueue()
        line = json.dumps({"id": number, "op": op, **request}).encode() + b"\n"
        try:
            with self._sending:
                if self._connection is None or self._ended:
                    raise ChannelError("the machine is off")
                self._connection.sendall(line)
        except OSError as error:
            raise ChannelError(f"the machine is gone: {error}") from error
        return number

    @property
    def is_open(self) -> bool:
        """Whether there may be further answers."""
        return not self._ended

    def has_answer(self, number: int) -> bool:
        """Whether ``next`` would give something at once."""
        return not self._answers[number].empty()

    def close(self) -> None:
        """No more answers will come: whoever waits for one is told so."""
        self._ended = True
        for waiting in list(self._answers.values()):
            waiting.put({"error": "the machine was switched off"})
        with suppress(OSError):
            self._listener.shutdown(
                socket.SHUT_RDWR
            )  # wakes the accept() of our thread, which close() does not
        self._listener.close()
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)

    def next(self, number: int, timeout: float) -> Answer:
        """The next answer to a request of ``send``. Raises ChannelError: none came, or it is a refusal."""
        try:
            answer = self._answers[number].get(timeout=timeout)
        except queue.Empty:
            raise ChannelError(f"no answer within {timeout} s") from None
        if "error" in answer:
            raise ChannelError(answer["error"])
        return answer

    def _receive(self) -> None:
        try:
            self._connection, _ = self._listener.accept()
        except OSError:
            return  # closed before the machine came up
        with self._connection.makefile("rb") as lines, suppress(OSError):
            for line in lines:
                answer = json.loads(line)
                waiting = self._answers.get(answer["id"])
                if waiting is not None:
                    waiting.put(answer)
        self.close()
        self._connection.close()


class Qmp:
    """QEMU's own control channel; one command at a time."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._lines: Any = None
        self._turn = threading.Lock()

    def connect(self, timeout: float) -> None:
        """Wait for QEMU's greeting, and answer it."""
        self._listener.settimeout(timeout)
        try:
            connection, _ = self._listener.accept()
        except TimeoutError:
            raise ChannelError(f"QEMU did not start within {timeout} s") from None
        with connection:  # the file keeps it open
            connection.settimeout(timeout)
            self._lines = connection.makefile("rwb", buffering=0)
        self._lines.readline()
        self("qmp_capabilities")

    def close(self) -> None:
        """Hang up."""
        self._listener.close()
        if self._lines is not None:
            self._lines.close()

    def __call__(self, command: str, **arguments: object) -> Answer:
        """Run one command; events in between are skipped."""
        with self._turn:
            self._lines.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            while True:
                line = self._lines.readline()
                if not line:
                    raise ChannelError("QEMU is gone")
                answer: Answer = json.loads(line)
                if "error" in answer:
                    raise ChannelError(f"{command}: {answer['error']['desc']}")
                if "return" in answer:
                    return answer
