"""Rows of the table ``jobs`` as Job tuples: which columns, in which order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from rq_py.job import Job, State

#: The columns that a Job is made of, in its order.
COLUMNS = ", ".join(Job._fields)

_STATES = {state.value: state for state in State}
_STATE, _STDIN, _DATA, _RESTARTABLE = map(
    Job._fields.index, ("state", "has_stdin", "has_data", "restartable")
)


def jobs_of(rows: sqlite3.Cursor | Iterable[list[object]]) -> Iterator[Job]:
    """Make Jobs of rows that were selected with COLUMNS."""
    for row in rows:
        values = list(row)
        values[_STATE] = _STATES[values[_STATE]]
        for index in (_STDIN, _DATA, _RESTARTABLE):
            values[index] = bool(values[index])
        yield Job._make(values)
