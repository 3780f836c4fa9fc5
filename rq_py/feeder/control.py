"""The feeder's ear, ``<local state>/feeder.sock``, and what other commands say into it.

A word is one datagram: ``wake``, ``shutdown`` (drain), ``stop [GRACE SECONDS]``, ``replace`` (leave, jobs run
on). The socket has mode 0600 in a 0700 directory, so only this user and root can speak; a word that makes no
sense is passed over.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
from dataclasses import dataclass
from pathlib import Path

from rq_py import wake
from rq_py.errors import FeederError, NoFeeder, StorageError, UsageError
from rq_py.feeder.ending import GIVE_UP_SECONDS
from rq_py.feeder.single import FeederInfo, info
from rq_py.localstate import LocalState
from rq_py.runner.identity import boottime

WORDS = ("wake", "shutdown", "stop", "replace")
_LONGEST = 64  # bytes


@dataclass(frozen=True, slots=True)
class Word:
    """One word that was heard; ``grace`` in seconds where a stop came with its own."""

    name: str
    grace: float | None = None

    @classmethod
    def parse(cls, datagram: bytes) -> Word | None:
        """Read a datagram; None for one that makes no sense."""
        if len(datagram) > _LONGEST:
            return None
        parts = datagram.decode("ascii", "replace").split()
        if not parts or parts[0] not in WORDS:
            return None
        if len(parts) == 1:
            return cls(parts[0])
        try:
            grace = float(parts[1])
        except ValueError:
            return None
        if parts[0] != "stop" or len(parts) > 2 or not math.isfinite(grace) or grace < 0:
            return None
        return cls("stop", grace)


class Ear:
    """The listening end; the feeder that holds the one-feeder lock makes it. Raises StorageError."""

    def __init__(self, state: LocalState) -> None:
        self._path = state.path / wake.SOCKET_NAME
        self._socket = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        try:
            self._path.unlink(missing_ok=True)  # a feeder that was killed left its own
            before = os.umask(0o177)
            try:
                self._socket.bind(state.beneath(wake.SOCKET_NAME))
            finally:
                os.umask(before)
        except OSError as error:
            self._socket.close()
            raise StorageError(f"{self._path}: cannot listen: {error.strerror}") from error

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def words(self) -> list[Word]:
        """All words that have arrived, without waiting."""
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                if word := Word.parse(self._socket.recv(_LONGEST + 1)):
                    heard.append(word)
        return heard

    def close(self) -> None:
        """Stop listening."""
        self._path.unlink(missing_ok=True)
        self._socket.close()


def the_feeder(state_dir: Path) -> FeederInfo:
    """This user's feeder on this node. Raises NoFeeder, and RqError as ``single.info``."""
    who = info(state_dir)
    if who is None:
        raise NoFeeder("no feeder of this user runs for this queue on this node: start one with rqpy start")
    return who


def request(state_dir: Path, word: str) -> FeederInfo:
    """Say ``word`` to this user's feeder on this node and return who it is.

    Raises NoFeeder when none runs, FeederError when it does not listen.
    """
    who = the_feeder(state_dir)
    if not wake.send(state_dir, word.encode("ascii")):
        if not who.is_alive:
            raise NoFeeder(f"the feeder (pid {who.pid}) has just ended")
        raise FeederError(f"the feeder (pid {who.pid}) does not listen: it hangs: see its log {who.log}")
    return who


def checked_grace(seconds: float) -> float:
    """Return ``seconds``. Raises UsageError where they are no time to wait."""
    if not (math.isfinite(seconds) and seconds >= 0):
        raise UsageError(f"--grace {seconds}: must be 0 or more seconds")
    return seconds


def stop_patience(who: FeederInfo, grace: float | None) -> float:
    """How many seconds a stop may take: the grace, what KILL needs, and two waits for a stuck queue lock."""
    return (who.feed_options.grace if grace is None else grace) + GIVE_UP_SECONDS + 180.0


def wait_until_gone(who: FeederInfo, deadline: float) -> bool:
    """Wait up to ``deadline`` seconds for the feeder ``who`` to end; whether it did."""
    until = boottime() + deadline
    try:
        descriptor = os.pidfd_open(who.pid)
    except ProcessLookupError:
        return True
    try:
        if not who.is_alive:  # the pid has gone to somebody else before it was opened
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while (left := until - boottime()) > 0:
            # In parts: CLOCK_BOOTTIME goes on while the machine sleeps, poll's own clock does not.
            if poll.poll(min(left, 5.0) * 1000):
                return True
        return not who.is_alive
    finally:
        os.close(descriptor)
