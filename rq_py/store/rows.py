"""Rows of the table ``jobs`` as Job tuples: which columns, in which order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from rq_py.job import Job, State

#: The attempts of a job before its last one, a JSON list as text, which `|| ''` makes it also inside of
#: json_array; they are looked for only where there can be any.
ATTEMPTS = """
    CASE WHEN attempt > 1 OR (attempt = 1 AND started IS NULL) THEN (
        SELECT nullif(json_group_array(json_object(
            'attempt', a.attempt, 'runner', a.runner, 'pid', a.pid, 'started', a.started,
            'finished', a.finished, 'elapsed', a.elapsed, 'exit_status', a.exit_status, 'signal', a.signal,
            'reason', a.reason, 'user_cpu', a.user_cpu, 'system_cpu', a.system_cpu, 'max_rss', a.max_rss,
            'completed_by', a.completed_by, 'note', a.note
        )), '[]') || '' FROM (SELECT * FROM attempts WHERE attempts.jid = jobs.jid ORDER BY attempt) AS a) END
"""

#: The jobs that a job is after, a JSON list as text; they are looked for only where there are any.
AFTER = """
    CASE WHEN links & 1 THEN (
        SELECT nullif(json_group_array(iif(d.condition = 'ok', d.after, d.after || ':' || d.condition)), '[]')
            || '' FROM (SELECT * FROM dependencies WHERE dependencies.jid = jobs.jid ORDER BY after) AS d) END
"""

#: The columns that a Job is made of, in its order.
COLUMNS = ", ".join({"attempts": ATTEMPTS, "after": AFTER}.get(name, name) for name in Job._fields)

#: The same for who needs no earlier attempts: a claim must not take longer the more there were.
CLAIM_COLUMNS = ", ".join({"attempts": "NULL", "after": AFTER}.get(name, name) for name in Job._fields)

_KEPT = """jid, attempt, token, runner, pid, started, finished, elapsed, exit_status, signal, reason,
    user_cpu, system_cpu, max_rss, completed_by, note"""
#: Copies how attempts have ended from ``jobs`` to ``attempts``; what was kept before stays. Add a WHERE.
KEEP_OUTCOME = f"INSERT OR IGNORE INTO attempts ({_KEPT}) SELECT {_KEPT} FROM jobs"  # noqa: S608

_STATES = {state.value: state for state in State}
_STATE = Job._fields.index("state")
_FLAGS = tuple(map(Job._fields.index, ("has_stdin", "has_data", "restartable", "collect")))


def jobs_of(rows: sqlite3.Cursor | Iterable[list[object]]) -> Iterator[Job]:
    """Make Jobs of rows that were selected with COLUMNS."""
    for row in rows:
        values = list(row)
        values[_STATE] = _STATES[values[_STATE]]
        for index in _FLAGS:
            values[index] = bool(values[index])
        yield Job._make(values)
