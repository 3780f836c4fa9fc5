"""Jobs that are named on stdin: YAML as list prints it, of which the ``jid`` counts, or one jid per line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from rq_py.errors import InputError
from rq_py.formats.excerpt import shown
from rq_py.formats.jobinput import Pushback, first_line, is_yaml
from rq_py.job import LARGEST_JID

_LONGEST_LINE = 4096


def read_jids(stream: BinaryIO, source: str) -> Iterator[int]:
    """Read jids from ``stream``, one job at a time; blank lines and those that begin with # are skipped.

    What begins with ``---`` is YAML: lists of mappings, of each of which only the field ``jid`` is looked at.
    ``source`` is what errors call the input. Raises InputError.
    """
    number, line = first_line(stream, source)
    if not line:
        return
    if is_yaml(line):
        from rq_py.formats.yamlinput import read_mappings

        for where, fields in read_mappings(Pushback(line, stream), source, number):
            yield _jid(fields.get("jid"), f"{source} line {where}")
        return
    while line:
        text = line.strip()
        if text and not text.startswith(b"#"):
            yield _jid(text.decode("utf-8", "backslashreplace"), f"{source} line {number}")
        number += 1
        line = stream.readline(_LONGEST_LINE)


def _jid(value: object, where: str) -> int:
    """The jid that ``value`` is. Raises InputError."""
    if value is None:
        raise InputError(f"{where}: has no jid, so it is no job of a listing; list --fields jid prints it")
    jid = jid_of(value) if isinstance(value, str) else None
    if jid is None:
        raise InputError(
            f"{where}: {shown(value)} is no jid: give one per line, or a listing that begins with ---"
        )
    return jid


def jid_of(text: str) -> int | None:
    """The jid that ``text`` is, None if it is none."""
    jid = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    return jid if 0 < jid <= LARGEST_JID else None
