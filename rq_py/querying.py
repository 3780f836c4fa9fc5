"""Conditions and SQL of users: query, which can only read, and execute, which may also change jobs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from rq_py import human
from rq_py.clock import utc_text
from rq_py.dependencies import set_right
from rq_py.errors import UsageError
from rq_py.formats import conditions
from rq_py.formats.conditions import Condition
from rq_py.job import Job
from rq_py.spool import Spool
from rq_py.store import sqltext, usersql
from rq_py.store.rows import AFTER, ATTEMPTS, COLUMNS, jobs_of
from rq_py.store.tokens import note_edit
from rq_py.store.transaction import Store, Transaction
from rq_py.store.usersql import ChangesRowsError, Guard
from rq_py.submission import acknowledged
from rq_py.timing import WAITS_ANEW

# The jobs with the fields of a listing that are no columns.
_LISTED = f"""
    SELECT *, {ATTEMPTS} AS attempts, {AFTER} AS after, CASE WHEN has_stdin THEN 'stdin/' || jid END AS stdin,
              CASE WHEN started <> '' THEN 'stdout/' || jid END AS stdout,
              CASE WHEN started <> '' THEN 'stderr/' || jid END AS stderr,
              CASE WHEN has_data THEN 'data/' || jid END AS data
    FROM jobs
"""  # noqa: S608
# The line breaks end a comment at the end of the condition.
_QUERY = f"SELECT {COLUMNS} FROM ({_LISTED}) AS jobs WHERE (\n{{}}\n) ORDER BY jid LIMIT {{}}"  # noqa: S608

# The negations hold for what is not set, too: `!=` finds just the jobs that `=` does not.
_SQL_OF = {"=": "{} = ?", "!=": "{} IS NOT ?", "=~": "{} LIKE ?", "!~": "({} LIKE ?) IS NOT TRUE"}
_NEGATIONS = frozenset({"!=", "!~"})
#: What only the end of a job sets. Before that a job is neither one that failed nor one that did not.
_OF_AN_END = frozenset(
    {
        "finished",
        "elapsed",
        "exit_status",
        "signal",
        "reason",
        "user_cpu",
        "system_cpu",
        "max_rss",
        "completed_by",
        "note",
    }
)
_WAITS_ANEW = human.WAITS_ANEW.format(waits=WAITS_ANEW)
_HAS_ENDED = "state IN ('finished', 'dead')"


def query(
    store: Store, where: str, parameters: Sequence[object] = (), *, limit: int | None = None
) -> Iterator[Job]:
    """The jobs that meet ``where``, by jid, at most ``limit`` of them.

    ``where`` is simple conditions or an SQL condition on the fields of a listing, in which each ``?`` stands
    for one of ``parameters``. All rows are read before this returns. Raises UsageError.
    """
    condition, values = where_clause(where) if not parameters else (sqltext.expression(where), parameters)
    spool = Spool()
    with store.read() as tx, usersql.reading(tx) as guard:
        for row in guard.run(_QUERY.format(condition, -1 if limit is None else int(limit)), values):
            spool.append(row)
    return jobs_of(cast("Iterator[list[object]]", spool))


def where_clause(text: str) -> tuple[str, list[object]]:
    """The SQL condition that ``text`` stands for, with its parameters. Raises UsageError."""
    simple = conditions.read(text)
    if simple is None:
        if re.fullmatch(r"\s*[0-9]+\s*", text):
            raise UsageError(
                f"{text.strip()[:20]}: is true of every job; for the job with this jid say jid=..."
            )
        return sqltext.expression(text), []
    clauses, values = [], []
    for condition in simple:
        clauses.append(_sql_of(condition))
        if condition.operand is not None:
            values.append(condition.operand)
    return " AND ".join(clauses), cast("list[object]", values)


def _sql_of(condition: Condition) -> str:
    """One simple condition in SQL; of jobs that have not ended, nothing is said of how they ended."""
    field, operator, operand = condition
    if operand is not None:
        sql = _SQL_OF[operator].format(field)
        return f"{_HAS_ENDED} AND {sql}" if operator in _NEGATIONS and field in _OF_AN_END else sql
    # What a listing leaves out: jobs that may not be restarted, those that were never claimed.
    unset = f"NOT {field}" if field in ("restartable", "attempt") else f"coalesce({field}, '') = ''"
    return unset if operator == "=" else f"NOT ({unset})"


@dataclass(frozen=True, slots=True)
class Result:
    """What one statement did: the rows that it returned, or None, and how many it changed, or None.

    ``rows`` holds None, int, float and str; a blob is the text ``x'0aff'``, as SQL writes it.
    """

    columns: tuple[str, ...]
    rows: Spool | None
    changed: int | None


def execute(store: Store, sql: str, confirm: Callable[[], None] | None = None) -> list[Result]:
    """Run the statements in ``sql``, and return what each did.

    When all of them only read, it is one reading transaction. Else ``confirm`` is called, without the lock,
    which raises something if they are not to be run, and they run in one writing transaction: all or none.
    They may change rows of ``jobs``, but no jid and nothing else; rows that no submit could have made are
    refused. Raises UsageError.
    """
    statements = sqltext.statements(sql)
    if not statements:
        raise UsageError("no SQL is given, as in: select count(*) from jobs")
    try:
        with store.read() as tx, usersql.reading(tx) as guard:
            return [_run(guard, statement) for statement in statements]
    except ChangesRowsError:
        pass
    store.check_writable()
    if confirm is not None:
        confirm()
    token = os.urandom(16).hex()

    def work(tx: Transaction) -> list[Result]:
        with usersql.changing(tx) as guard:
            results = [_run(guard, statement) for statement in statements]
        _set_right(tx)
        note_edit(tx, token, sum(result.changed or 0 for result in results))
        return results

    results = acknowledged(store, work, token=token, staging=None, verb="changed")
    from rq_py.removal import remove_noted

    remove_noted(store)
    return results


def _run(guard: Guard, statement: str) -> Result:
    """Run one statement and spool its rows."""
    cursor = guard.run(statement)
    if cursor.description is None:
        return Result((), None, guard.changed(cursor))
    spool = Spool()
    for row in cursor:
        spool.append([f"x'{value.hex()}'" if isinstance(value, bytes) else value for value in row])
    return Result(_distinct([column[0] for column in cursor.description]), spool, guard.changed(cursor))


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names of columns, each once: ``jid``, ``jid:1`` ..."""
    found: dict[str, None] = {}
    for name in names:
        number, new = 0, name
        while new in found:
            number += 1
            new = f"{name}:{number}"
        found[new] = None
    return tuple(found)


def _set_right(tx: Transaction) -> None:
    """After a user's changes: refuse rows that are no jobs, and keep files of those that are."""
    from rq_py.formats.jobrow import problem_of

    for row in usersql.changed_rows(tx, COLUMNS):
        problem = problem_of(Job._make(row))
        if problem:
            raise UsageError(f"{problem}: nothing was changed")
        tx.beat()
    with tx.beating():
        tx.execute(
            f"UPDATE jobs SET waits = {_WAITS_ANEW} WHERE jid IN (SELECT jid FROM changed)",  # noqa: S608
            {"now": utc_text()},
        )
        set_right(tx, "jid IN (SELECT jid FROM changed)")
        # A job that was replaced, or deleted and inserted again under its jid, keeps its files.
        tx.execute(
            "DELETE FROM removals WHERE jid IN (SELECT jid FROM changed) AND jid IN (SELECT jid FROM jobs)"
        )
