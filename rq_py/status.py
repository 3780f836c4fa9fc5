"""The status of a queue in rq's shape: counts, ages, performance, how jobs ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from rq_py.clock import duration_text, seconds_of, utc_text
from rq_py.job import State
from rq_py.store.transaction import Transaction

#: What ``status`` returns: ready to be written as YAML.
Status = dict[str, object]

_HOURS = (1, 12, 24)


def status(tx: Transaction, exit_map: Mapping[str, Sequence[int]]) -> Status:
    """The status as of now. ``exit_map`` names further groups of exit statuses to count."""
    now = datetime.now(UTC)
    counts = dict(tx.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
    jobs = {state.value: counts.get(state.value, 0) for state in State}
    jobs["total"] = sum(jobs.values())
    temporal = {state.value: _extremes(tx, state, now.timestamp()) for state in State}
    return {
        "jobs": jobs,
        "temporal": {state: extremes for state, extremes in temporal.items() if extremes},
        "performance": _performance(tx, now),
        "exit_status": _exit_statuses(tx, exit_map),
    }


#: Which time says how old a job is, and which how long it took.
_MEASURES = {
    State.PENDING: "submitted",
    State.HOLDING: "submitted",
    State.RUNNING: "started",
    State.FINISHED: "elapsed",
    State.DEAD: "elapsed",
}


def _extremes(tx: Transaction, state: State, now: float) -> dict[str, dict[int, str]]:
    """The least and the greatest age (waiting, running) or elapsed time (ended) in ``state``."""
    column = _MEASURES[state]
    is_age = column != "elapsed"
    found = {}
    # The youngest has the latest time, and so the least age.
    for name, order in (("min", "DESC" if is_age else "ASC"), ("max", "ASC" if is_age else "DESC")):
        sql = f"""SELECT jid, {column} FROM jobs WHERE state = ? AND {column} IS NOT NULL
                  ORDER BY {column} {order} LIMIT 1"""  # noqa: S608
        row = tx.execute(sql, (state,)).fetchone()
        if row is not None:
            found[name] = {int(row[0]): duration_text(now - seconds_of(row[1]) if is_age else row[1])}
    return found


def _performance(tx: Transaction, now: datetime) -> dict[str, object]:
    """Average time of a finished job, and how many finished in the last hours."""
    (average,) = tx.execute("SELECT avg(elapsed) FROM jobs WHERE state = 'finished'").fetchone()
    since = [utc_text((now - timedelta(hours=hours)).timestamp()) for hours in _HOURS]
    sums = ", ".join("coalesce(sum(finished >= ?), 0)" for _ in since)
    row = tx.execute(f"SELECT {sums} FROM jobs WHERE state = 'finished'", since).fetchone()  # noqa: S608
    return {
        "avg_time_per_job": duration_text(average or 0.0),
        "n_jobs_in_last_hrs": dict(zip(_HOURS, row, strict=True)),
    }


def _exit_statuses(tx: Transaction, exit_map: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Successes, failures (another exit status, a signal, dead), and the groups of ``exit_map``."""
    groups = {"successes": [0], **exit_map}
    # Sums, because grouping a million rows by a column without an index sorts them in memory.
    sums = ", ".join(
        f"coalesce(sum(state = 'finished' AND exit_status IN ({','.join('?' * len(group))})), 0)"
        for group in groups.values()
    )
    sql = f"SELECT count(*), {sums} FROM jobs WHERE state IN ('finished', 'dead')"  # noqa: S608
    wanted = [exit_status for group in groups.values() for exit_status in group]
    ended, successes, *counts = tx.execute(sql, wanted).fetchone()
    named = dict(zip(exit_map, counts, strict=True))
    return {"successes": successes, "failures": ended - successes, **named}
