"""What SQL statements returned, as YAML: a list of mappings for rows. Streams, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from rq_py.formats import scalars

#: Columns of ``jobs`` that hold times; they are written as a listing writes them.
_TIMES = frozenset({"submitted", "started", "finished"})


def write_rows(columns: Sequence[str], rows: Iterable[Sequence[object]], out: TextIO) -> int:
    """Write rows as one YAML list of mappings, ``--- []`` when there is none; return how many there were."""
    heads = [f"  {scalars.key(column)} ".replace("\n", "\n  ") for column in columns]
    writers = [_time_or_scalar if column in _TIMES else scalars.scalar for column in columns]
    count = 0
    for row in rows:
        out.write("-\n" if count else "---\n-\n")
        fields = zip(heads, writers, row, strict=True)
        out.write("".join([f"{head}{write(value)}\n" for head, write, value in fields]))
        count += 1
    if not count:
        out.write("--- []\n")
    return count


def _time_or_scalar(value: object) -> str:
    """A value of a column that holds times."""
    return scalars.time(value) if isinstance(value, str) else scalars.scalar(value)
