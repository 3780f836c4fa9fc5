"""Flat ``key: value`` documents: the subset of YAML in which rqpy keeps its own small files.

Settings, lock records and leases are read by every submit, where importing a YAML parser would
cost more than the submit. Whatever this reader accepts, a YAML parser reads as the same keys and
the same texts (a test compares them); what it does not accept is for the caller to refuse, or to
give to a real parser.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_WORD = r"[A-Za-z0-9_./+@,=~-]+"
_LINE = re.compile(rf"([a-z][a-z0-9_]*):(?: +({_WORD}(?: {_WORD})*))?[ ]*")
#: A blank line or a comment. YAML knows line breaks outside of ASCII, and tabs are no blanks to PyYAML.
_SKIPPED = re.compile(r" *|#[ -~]*")
_VALUE = re.compile(rf"{_WORD}(?: {_WORD})*")
#: Plain texts that begin like this are YAML syntax, or could be.
_NOT_PLAIN = re.compile(r"-(?: |$)|---|@|,|=$|\.\.\.|~$")


def parse(text: str) -> dict[str, str] | None:
    """Read a flat document; every value is text, an empty one ''.

    Blank lines, ``---`` at the top and whole-line ``#`` comments in ASCII are skipped. Returns None when
    any other line is more than a plain ``key: value``, or when a key comes twice.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(text.split("\n")):
        if _SKIPPED.fullmatch(line) or (number == 0 and line == "---"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or match[1] in values or _NOT_PLAIN.match(match[2] or ""):
            return None
        values[match[1]] = match[2] or ""
    return values


def emit(values: Mapping[str, object]) -> str:
    """Write a flat document, one line each.

    Raises ValueError for a value whose text would need quotes.
    """
    lines = []
    for key, value in values.items():
        text = str(value)
        if text and (not _VALUE.fullmatch(text) or _NOT_PLAIN.match(text)):
            raise ValueError(f"{key}: {text!r} is not a plain text")
        lines.append(f"{key}: {text}\n" if text else f"{key}:\n")
    return "".join(lines)
