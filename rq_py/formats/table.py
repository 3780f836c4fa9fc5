"""Listings of jobs as a table for people: aligned columns, one line per job, nothing invisible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import TextIO

from rq_py.formats.listing import Value, fields_of
from rq_py.job import Job

#: What a table shows unasked: what fits beside a command on a terminal.
TABLE_FIELDS = ("jid", "priority", "state", "elapsed", "runner", "exit_status", "tag", "command")

#: The columns are as wide as these first rows need; a later, wider cell moves its own line only.
_MEASURED_ROWS = 1000

_RIGHT = frozenset(
    {
        "jid",
        "priority",
        "elapsed",
        "pid",
        "exit_status",
        "signal",
        "attempt",
        "user_cpu",
        "system_cpu",
        "max_rss",
        "timeout",
        "retries",
        "backoff",
    }
)


def write_table(jobs: Iterable[Job], out: TextIO, fields: Sequence[str] | None = None) -> int:
    """Write a header and one line per job; return how many jobs there were."""
    names = TABLE_FIELDS if fields is None else fields
    rows = (_cells(job, names) for job in jobs)
    measured = list(islice(rows, _MEASURED_ROWS))
    header = list(names)
    widths = [max(map(_width, column)) for column in zip(header, *measured, strict=True)]
    out.write(_line(header, names, widths))
    count = 0
    for row in chain(measured, rows):
        out.write(_line(row, names, widths))
        count += 1
    return count


def _cells(job: Job, names: Sequence[str]) -> list[str]:
    """The text of each column."""
    values = fields_of(job, names)
    return [visible(_text(values[name])) for name in names]


def _text(value: Value) -> str:
    """One value; what is not set is empty."""
    if value is None or value is False:
        return ""
    if value is True:
        return "true"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, list):
        return str(len(value))
    if isinstance(value, Mapping):
        return " ".join(f"{name}={text}" for name, text in value.items())
    return str(value)


def visible(text: str) -> str:
    """Write control, formatting and other characters that cannot be seen as backslash escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _width(text: str) -> int:
    """The number of terminal columns that ``text`` takes (unicode.org/reports/tr11)."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _line(cells: Sequence[str], names: Sequence[str], widths: Sequence[int]) -> str:
    """One line of the table, without trailing spaces."""
    padded = []
    for cell, name, width in zip(cells, names, widths, strict=True):
        padding = " " * (width - _width(cell))
        padded.append(padding + cell if name in _RIGHT else cell + padding)
    return "  ".join(padded).rstrip(" ") + "\n"
