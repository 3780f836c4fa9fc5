"""The feeder's connection: non-blocking, with a bounded buffer, and never anybody else's."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from rq_py.errors import RunnerGone
from rq_py.runner import protocol
from rq_py.runner.journal import Record

#: Bytes that may wait for a feeder which does not read; with more it is dropped. The longest answer, to a
#: hello, has half of that.
MAX_WAITING = 4 * 1024 * 1024

#: Bytes up to which exits are pushed; the others wait in the journal until the feeder has read these.
PUSH_UP_TO = 256 * 1024

_EXITS_IN_A_LINE = 50  # of 2 KB each at most

_PIECE = 256 * 1024


def peer_uid(connected: socket.socket) -> int:
    """Return the user id that the other side had when it connected: SO_PEERCRED, unix(7)."""
    size = struct.calcsize("3i")
    _pid, uid, _gid = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def accept(listener: socket.socket) -> Connection | None:
    """Accept who waits at ``listener``; None if there is nobody any more.

    Raises:
        PermissionError: it was a process of another user; it is disconnected.
        OSError: the machine has no descriptors or memory left.

    """
    try:
        connected, _ = listener.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return None
    uid = peer_uid(connected)
    if uid != os.geteuid():
        connected.close()
        raise PermissionError(f"a process of uid {uid} was turned away")
    return Connection(connected)


class Connection:
    """One connected feeder, and the exits that it has not been told of yet (``offers``)."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._reader = protocol.LineReader()
        self._waiting = bytearray()
        self.offers: deque[Record] = deque()
        self.greeted = False

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()

    @property
    def is_behind(self) -> bool:
        """Whether something waits until the feeder reads."""
        return bool(self._waiting)

    def receive(self) -> Iterator[bytes]:
        """Yield the lines that are complete now that one more piece has been taken from the socket.

        Raises:
            RunnerGone: the other side has closed.
            ProtocolError: a line is too long.

        """
        try:
            piece = self._socket.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            raise RunnerGone(str(error)) from error
        if not piece:
            raise RunnerGone("it has closed")
        yield from self._reader.feed(piece)

    def send(self, message: Mapping[str, object]) -> None:
        """Have ``message`` sent by the next ``flush``.

        Raises:
            RunnerGone: the feeder does not read what it is sent.
            ProtocolError: the message is too long.

        """
        self._waiting += protocol.encode(message)
        if len(self._waiting) > MAX_WAITING:
            raise RunnerGone("it does not read what it is sent")

    def offer(self, exits: Iterable[Record]) -> None:
        """Have ``exits`` pushed as soon as the feeder has said hello and has read what was pushed before."""
        if self.greeted:
            self.offers.extend(exits)

    def flush(self, *, with_offers: bool) -> None:
        """Send as much as the socket takes of what waits, and of the exits on offer if ``with_offers``.

        Raises:
            RunnerGone: the other side has closed.

        """
        while self._waiting or (with_offers and self.offers):
            while with_offers and self.offers and len(self._waiting) < PUSH_UP_TO:
                exits = [self.offers.popleft() for _ in range(min(len(self.offers), _EXITS_IN_A_LINE))]
                self._waiting += protocol.encode({"event": "exits", "exits": exits})
            try:
                sent = self._socket.send(self._waiting)
            except BlockingIOError:
                return
            except OSError as error:
                raise RunnerGone(str(error)) from error
            del self._waiting[:sent]
