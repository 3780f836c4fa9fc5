"""What submit is given, as lines or as YAML: finds out which of the two it is, and reads it.

``lineinput``, ``yamlinput`` and ``jobspec`` do the reading and the checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal

from rq_py.errors import InputError
from rq_py.formats.jobspec import Alike, CheckedSpec, spec_from_mapping
from rq_py.formats.lineinput import Readable, read_lines
from rq_py.job import MAX_COMMAND_BYTES

__all__ = ["detect", "read_jobs", "read_lines", "read_yaml", "spec_from_mapping"]

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_YAML = re.compile(rb"---(?:\s|$)|%(?:YAML|TAG)\s")
#: No shell command looks like this; to take it for one would run nonsense.
_JSON = re.compile(rb'\{(?:"|$)|\[\s*(?:\{\s*"|\]?$)')
_YAML_UNMARKED = re.compile(rb"-\s|-$")


def detect(line: bytes, where: str) -> Literal["yaml", "lines"]:
    """What the first line that is neither blank nor a comment begins: ``---`` marks YAML.

    Raises InputError for what is neither, but would be run as commands: JSON, and YAML without its ``---``.
    """
    stripped = line.strip()
    if is_yaml(line):
        return "yaml"
    if _JSON.match(stripped):
        raise InputError(
            f"{where}: looks like JSON, not like commands: give YAML, or put a line `---` before a JSON list"
        )
    if _YAML_UNMARKED.match(stripped):
        raise InputError(f"{where}: looks like YAML, not like commands: YAML begins with a line `---`")
    return "lines"


def is_yaml(line: bytes) -> bool:
    """Whether the first line that is neither blank nor a comment begins a YAML document."""
    return _YAML.match(line) is not None


def read_jobs(stream: BinaryIO, source: str) -> Iterator[Alike]:
    """Read jobs from ``stream``: YAML if it begins with ``---``, else one command per line.

    Many lines come at a time, jobs of YAML one by one.
    ``source`` is what errors call the input. Streams, in the memory of one job. Raises InputError.
    """
    number, line = first_line(stream, source)
    if not line:
        return
    rest = Pushback(line, stream)
    if detect(line, f"{source} line {number}") == "yaml":
        yield from read_yaml(rest, source, number)
        return
    for commands in read_lines(rest, source, number):
        if commands:
            yield Alike(CheckedSpec(commands[0]), commands)


def read_yaml(stream: Readable, source: str, first_line: int = 1) -> Iterator[Alike]:
    """Read jobs from YAML, see ``yamlinput.read_yaml``, which is imported only when there is any."""
    from rq_py.formats import yamlinput

    return yamlinput.read_yaml(stream, source, first_line)


def first_line(stream: BinaryIO, source: str) -> tuple[int, bytes]:
    """The first line that is neither blank nor a comment, and its number; b'' when there is none."""
    number = 0
    while line := stream.readline(MAX_COMMAND_BYTES + 2):
        number += 1
        if number == 1:
            if line.startswith(_UTF16_BOMS):
                raise InputError(f"{source} line 1: is UTF-16, convert it first (iconv -t UTF-8)")
            line = line.removeprefix(_UTF8_BOM)
        if line.strip() and not line.lstrip().startswith(b"#"):
            return number, line
        while line and not line.endswith(b"\n"):  # the rest of a very long comment
            line = stream.readline(MAX_COMMAND_BYTES)
    return number, b""


class Pushback:
    """A stream with the line that was read from it put back."""

    def __init__(self, line: bytes, stream: BinaryIO) -> None:
        self._line = line
        # One read(2) at a time: a Ctrl-C between two is noticed, which BufferedReader.read would not do.
        self._read1: Callable[[int], bytes] = getattr(stream, "read1", stream.read)

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most ``size``."""
        line, self._line = self._line[:size], self._line[size:]
        return line or self._read1(size)
