"""The wire between feeder and runner: lines of JSON, and checks that trust nothing that was received.

``docs/reference/runner-protocol.md`` describes every message. A text on the wire stands for bytes: it is
UTF-8 in which a byte that is not valid travels as a lone surrogate (Python's ``surrogateescape``, PEP 383),
because an environment or a path need not be text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from rq_py.errors import ProtocolError

#: Version of the protocol. Feeder and runner must agree on it exactly.
PROTOCOL = 2

#: Bytes of one line, its newline not counted. The longest regular one launches a command of 64 KiB that is
#: all quotes: its script quotes it for the shell three times over, and JSON quotes that again.
MAX_LINE = 8 * 1024 * 1024

#: Bytes of the token that names a claim.
MAX_TOKEN = 128

#: SQLite's largest rowid, and so the largest jid.
MAX_INT = 2**63 - 1

#: What a started runner writes to its standard output when it listens, and when another one does already.
READY = b"ready\n"
TAKEN = b"taken\n"

#: The ``reason`` in the exit of a job that the dead man's switch has ended: how it ended is no outcome.
LEASE_LOST = "lease_lost"

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_no_constant).decode


def encode(message: Mapping[str, object], limit: int = MAX_LINE) -> bytes:
    """Return ``message`` as one line, its newline included.

    Raises:
        ProtocolError: the line would be longer than ``limit`` bytes, or a value is no JSON.

    """
    try:
        line = _encode(message).encode("ascii")
    except (ValueError, TypeError, RecursionError) as error:
        raise ProtocolError(f"a message cannot be written as JSON: {error}") from error
    if len(line) > limit:
        raise ProtocolError(f"a message of {len(line)} bytes is too long, at most {limit} are allowed")
    return line + b"\n"


def encode_batches(message: Mapping[str, object], name: str, items: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines that are ``message`` with the list ``name`` of ``items``, as few as ``MAX_LINE`` allows.

    Each item is JSON already and short enough to fit into a line; every line is ``message`` again.
    """
    head = encode(message)[:-2] + b',"' + name.encode("ascii") + b'":['
    batch: list[bytes] = []
    size = len(head) + 2
    for item in items:
        if batch and size + len(item) + 1 > MAX_LINE:
            yield head + b",".join(batch) + b"]}\n"
            batch, size = [], len(head) + 2
        batch.append(item)
        size += len(item) + 1
    if batch:
        yield head + b",".join(batch) + b"]}\n"


def decode(line: bytes) -> dict[str, object]:
    """Return the JSON object that ``line`` holds.

    Raises:
        ProtocolError: it is not UTF-8, not JSON, nested too deeply, or not an object.

    """
    try:
        message = _decode(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise ProtocolError(f"a line is not JSON: {str(error)[:200]}") from error
    if not isinstance(message, dict):
        raise ProtocolError("a line is not a JSON object")
    return message


class LineReader:
    """Cuts a stream of bytes into lines and never holds more than one line and one piece of input."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in ``data`` and yield the lines that are complete now, without their newlines.

        Raises:
            ProtocolError: a line is longer than ``MAX_LINE``; the stream is of no use after that.

        """
        searched = len(self._rest)
        self._rest += data
        begin = 0
        while (end := self._rest.find(b"\n", max(begin, searched))) >= 0:
            if end - begin > MAX_LINE:
                break
            line = bytes(self._rest[begin:end])
            begin = end + 1
            yield line
        del self._rest[:begin]
        if len(self._rest) > MAX_LINE:
            raise ProtocolError(f"a line is longer than {MAX_LINE} bytes")


# --- taking fields out of a message that somebody else wrote -----------------------------------------


def take_int(message: Mapping[str, object], name: str, low: int = 0, high: int = MAX_INT) -> int:
    """Return the integer ``message[name]`` if it is within ``low..high``; ProtocolError if not."""
    value = message.get(name)
    if type(value) is not int or not low <= value <= high:  # bool is a subclass of int, and no number here
        raise ProtocolError(f"{name!r} must be an integer from {low} to {high}")
    return value


def take_seconds(message: Mapping[str, object], name: str) -> float:
    """Return the duration or clock reading ``message[name]`` in seconds, 0 to 1e12; ProtocolError if not."""
    value = message.get(name)
    if type(value) not in {int, float} or not isinstance(value, int | float) or not 0 <= value <= 1e12:
        raise ProtocolError(f"{name!r} must be a number of seconds")
    return float(value)


def take_bool(message: Mapping[str, object], name: str) -> bool:
    """Return the truth value ``message[name]``; ProtocolError if it is anything else."""
    value = message.get(name)
    if not isinstance(value, bool):
        raise ProtocolError(f"{name!r} must be true or false")
    return value


def take_text(message: Mapping[str, object], name: str) -> str:
    """Return the text ``message[name]``; ProtocolError if it is none."""
    value = message.get(name)
    if not isinstance(value, str):
        raise ProtocolError(f"{name!r} must be a text")
    return value


def take_bytes(message: Mapping[str, object], name: str) -> bytes:
    """Return the bytes that the text ``message[name]`` stands for; ProtocolError if it has none, or a NUL."""
    return text_bytes(take_text(message, name), name)


def take_token(message: Mapping[str, object]) -> str:
    """Return ``message["token"]``, 1 to ``MAX_TOKEN`` visible ASCII characters; ProtocolError if not."""
    value = take_text(message, "token")
    if not (0 < len(value) <= MAX_TOKEN and value.isascii() and value.isprintable()):
        raise ProtocolError(f"'token' must be 1 to {MAX_TOKEN} visible ASCII characters")
    return value


def take_key(message: Mapping[str, object]) -> tuple[int, int, str]:
    """Return what names one attempt of a job: jid, attempt and token; ProtocolError if it is malformed."""
    return take_int(message, "jid"), take_int(message, "attempt"), take_token(message)


def take_object(message: Mapping[str, object], name: str) -> dict[str, object]:
    """Return the object ``message[name]``; ProtocolError if it is anything else."""
    value = message.get(name)
    if not isinstance(value, dict):
        raise ProtocolError(f"{name!r} must be an object")
    return value


def take_objects(message: Mapping[str, object], name: str) -> list[dict[str, object]]:
    """Return the list of objects ``message[name]``; ProtocolError if it is anything else."""
    value = message.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ProtocolError(f"{name!r} must be a list of objects")
    return value


def take_argv(message: Mapping[str, object], name: str) -> list[bytes]:
    """Return ``message[name]``, a program's absolute path and its arguments; ProtocolError if it is none."""
    value = message.get(name)
    if not isinstance(value, list) or not value:
        raise ProtocolError(f"{name!r} must be a list of texts")
    argv = [text_bytes(item, name) for item in value]
    if not argv[0].startswith(b"/"):
        raise ProtocolError(f"the first of {name!r} must be an absolute path")
    return argv


def take_environment(message: Mapping[str, object], name: str) -> dict[bytes, bytes]:
    """Return the environment ``message[name]``; ProtocolError if a name is empty or holds ``=``."""
    value = message.get(name)
    if not isinstance(value, dict):
        raise ProtocolError(f"{name!r} must be an object of texts")
    environment = {text_bytes(key, name): text_bytes(item, name) for key, item in value.items()}
    if any(not key or b"=" in key for key in environment):
        raise ProtocolError(f"a name in {name!r} is empty or holds '='")
    return environment


def text_bytes(value: object, name: str) -> bytes:
    """Return the bytes that the text ``value`` of field ``name`` stands for; ProtocolError if one is NUL."""
    if not isinstance(value, str):
        raise ProtocolError(f"{name!r} must hold texts")
    try:
        data = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ProtocolError(f"{name!r} holds a character that stands for no byte") from error
    if b"\0" in data:
        raise ProtocolError(f"{name!r} holds a NUL byte")
    return data
