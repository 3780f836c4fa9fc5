"""Commands given as lines, one per line. Streams in constant memory and knows no fields but the command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from rq_py.errors import InputError
from rq_py.job import MAX_COMMAND_BYTES

_CHUNK_BYTES = 1024 * 1024


class Readable(Protocol):
    """What input is read from: ``read(size)`` returns at most ``size`` bytes, b'' at the end."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""


def read_lines(stream: Readable, source: str, first_line: int = 1) -> Iterator[list[str]]:
    r"""Read commands, one per line, from ``stream``; its next line is the ``first_line``-th of ``source``.

    They come in blocks, as they are read: to hand each line on by itself would take most of the time. Blank
    lines and those whose first character is a ``#`` are skipped (one inside a command stays), and ``\r\n``
    ends a line as ``\n`` does. Otherwise a command is the line as it is.

    Raises InputError, naming ``source`` and the line, for what is not UTF-8, for a NUL byte and for a line
    longer than a command may be.
    """
    number = first_line
    rest = b""
    while chunk := stream.read(_CHUNK_BYTES):
        head, newline, tail = chunk.rpartition(b"\n")
        if newline:
            yield _commands(rest + head, source, number)
            number += head.count(b"\n") + 1
            rest = tail
        else:
            rest += tail
        if len(rest) > MAX_COMMAND_BYTES + 1:  # one for a \r
            raise _too_long(source, number)
    if rest:
        yield _commands(rest, source, number)


def _commands(block: bytes, source: str, number: int) -> list[str]:
    """The commands in a block of whole lines, the first of which is line ``number``."""
    lines = _text(block, source, number).split("\n")
    if b"\r" in block:
        lines = [line.removesuffix("\r") for line in lines]
    commands = [line for line in lines if (start := line.lstrip()) and start[0] != "#"]
    if max(map(len, lines)) > MAX_COMMAND_BYTES // 4:  # a character has four bytes at most
        for line_number, line in enumerate(lines, start=number):
            if _is_too_long(line):
                raise _too_long(source, line_number)
    return commands


def _is_too_long(line: str) -> bool:
    return len(line.encode()) > MAX_COMMAND_BYTES and not line.lstrip().startswith("#")


def _text(block: bytes, source: str, number: int) -> str:
    """Decode a block of lines, the first of which is line ``number``."""
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + block.count(b"\n", 0, error.start)
        raise InputError(
            f"{source} line {line}: is not valid UTF-8, convert it first (iconv -t UTF-8)"
        ) from None
    if "\0" in text:
        line = number + text.count("\n", 0, text.index("\0"))
        raise InputError(f"{source} line {line}: holds a NUL byte, which no command can")
    return text


def _too_long(source: str, number: int) -> InputError:
    """The error for a line that is no command."""
    return InputError(
        f"{source} line {number}: the command is longer than {MAX_COMMAND_BYTES} bytes: "
        "put it into a script, and what it works on into --data"
    )
