"""The network between the machines: a switch for Ethernet frames, where the cable of each node can be cut.

QEMU connects to it by a Unix socket (-netdev stream) and sends each frame behind its length, four bytes, big
endian. A machine that is killed and started again just connects anew. The host's network is not touched.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_LENGTH = struct.Struct(">I")
_BROADCAST_BIT = 1

#: Bytes that wait for a machine that does not read (it is paused); further frames to it are lost.
_MOST_WAITING = 1 << 20


@dataclass(eq=False)
class _Port:
    """One connected machine."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    waiting: bytearray = field(default_factory=bytearray)


class Wire:
    """A learning switch, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cut: frozenset[bytes] = frozenset()
        self._ports: dict[bytes, _Port] = {}  # hardware address -> where it was seen last
        self._connected: set[_Port] = set()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._stopping, self._stop = socket.socketpair()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._stopping, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._switch, name="wire", daemon=True)
        self._thread.start()

    def cut(self, hardware: str) -> None:
        """From now on drop every frame from and to this address; neither side is told."""
        self._cut |= {_address(hardware)}

    def heal(self, hardware: str) -> None:
        """Undo ``cut``."""
        self._cut -= {_address(hardware)}

    def close(self) -> None:
        """End the thread and the connections."""
        self._stop.close()
        self._thread.join()

    def _switch(self) -> None:
        while True:
            for key, events in self._selector.select():
                if key.fileobj is self._stopping:
                    self._close()
                    return
                if key.fileobj is self._listener:
                    self._accept()
                    continue
                port: _Port = key.data
                if events & selectors.EVENT_WRITE:
                    self._flush(port)
                if events & selectors.EVENT_READ:
                    self._receive(port)

    def _close(self) -> None:
        for port in list(self._connected):
            self._disconnect(port)
        self._selector.close()
        self._listener.close()
        self._stopping.close()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        port = _Port(connection)
        self._connected.add(port)
        self._selector.register(connection, selectors.EVENT_READ, port)

    def _disconnect(self, port: _Port) -> None:
        if port in self._connected:
            self._connected.remove(port)
            self._selector.unregister(port.socket)
            port.socket.close()

    def _receive(self, port: _Port) -> None:
        try:
            data = port.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._disconnect(port)
            return
        buffer = port.received
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            end = start + _LENGTH.size + _LENGTH.unpack_from(buffer, start)[0]
            if end > len(buffer):
                break
            self._forward(port, bytes(buffer[start:end]))
            start = end
        del buffer[:start]

    def _forward(self, source: _Port, frame: bytes) -> None:
        """Send one frame, with its length before it, to where its destination was seen, or to everybody."""
        to, sender = frame[4:10], frame[10:16]
        if sender in self._cut or to in self._cut:
            return
        self._ports[sender] = source
        known = None if to[0] & _BROADCAST_BIT else self._ports.get(to)
        targets = (
            [known] if known in self._connected else [port for port in self._connected if port is not source]
        )
        for port in targets:
            if port is source or len(port.waiting) > _MOST_WAITING:
                continue
            port.waiting += frame
            self._flush(port)

    def _flush(self, port: _Port) -> None:
        if port not in self._connected:
            return
        with suppress(BlockingIOError):
            try:
                while port.waiting:
                    del port.waiting[: port.socket.send(port.waiting)]
            except (BrokenPipeError, ConnectionResetError):
                self._disconnect(port)
                return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if port.waiting else 0)
        self._selector.modify(port.socket, events, port)


def _address(hardware: str) -> bytes:
    return bytes.fromhex(hardware.replace(":", ""))
