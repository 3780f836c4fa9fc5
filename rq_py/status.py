"""The status of a queue in rq's shape: counts, ages, performance, how jobs ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from rq_py.clock import duration_text, seconds_of, utc_text
from rq_py.job import TERMINAL, State
from rq_py.store.transaction import Transaction

#: What ``status`` returns: ready to be written as YAML.
Status = dict[str, object]

_HOURS = (1, 12, 24)


def status(tx: Transaction, exit_map: Mapping[str, Sequence[int]]) -> Status:
    """The status as of now. ``exit_map`` names further groups of exit statuses to count.

    It takes about as long for a million jobs as for a few: triggers keep the tables that it reads.
    """
    now = datetime.now(UTC)
    ended = tx.execute(
        "SELECT state, exit_status, sum(jobs), sum(milliseconds) FROM ended GROUP BY state, exit_status"
    ).fetchall()
    temporal = {state.value: _extremes(tx, state, now.timestamp()) for state in State}
    return {
        "jobs": _counts(tx, ended),
        "temporal": {state: extremes for state, extremes in temporal.items() if extremes},
        "performance": _performance(tx, now, ended),
        "exit_status": _exit_statuses(exit_map, ended),
    }


#: How those that have ended did: state, exit status ('' for none), jobs, milliseconds of all together.
_Ended = Sequence[tuple[str, int | str, int, int]]


def _counts(tx: Transaction, ended: _Ended) -> dict[str, int]:
    """How many jobs are in each state, and in all."""
    pending, holding = tx.execute("SELECT pending, holding FROM tally").fetchone()
    # Those that run are few, and have an index of their own.
    (running,) = tx.execute("SELECT count(*) FROM jobs WHERE state = 'running'").fetchone()
    jobs = {State.PENDING.value: pending, State.HOLDING.value: holding, State.RUNNING.value: running}
    for state in (State.FINISHED, State.DEAD):
        jobs[state.value] = sum(row[2] for row in ended if row[0] == state)
    return {**jobs, "total": sum(jobs.values())}


def _extremes(tx: Transaction, state: State, now: float) -> dict[str, dict[int, str]]:
    """The least and the greatest age (waiting, running) or elapsed time (ended) in ``state``."""
    if state in TERMINAL:
        found = {"min": _extreme(tx, state, longest=False), "max": _extreme(tx, state, longest=True)}
        return {name: {row[0]: duration_text(row[1])} for name, row in found.items() if row is not None}
    column = "started" if state is State.RUNNING else "submitted"
    ages = {}
    # The youngest has the latest time, and so the least age.
    for name, order in (("min", "DESC"), ("max", "ASC")):
        sql = f"""SELECT jid, {column} FROM jobs WHERE state = ? AND {column} IS NOT NULL
                  ORDER BY {column} {order} LIMIT 1"""  # noqa: S608
        row = tx.execute(sql, (state,)).fetchone()
        if row is not None:
            ages[name] = {int(row[0]): duration_text(now - seconds_of(row[1]))}
    return ages


# For each block of jids what no job in it goes beyond, the most promising first. It may be the time of a job
# that is gone; so the next blocks are looked at as long as one of theirs may be better than what was found.
_BLOCKS = """
    SELECT block, {best}({bound}) FROM ended WHERE state = ? AND {bound} IS NOT NULL
    GROUP BY block ORDER BY 2 {order}
"""
_IN_BLOCK = """
    SELECT jid, elapsed FROM jobs
    WHERE jid BETWEEN :block << 10 AND (:block << 10) + 1023 AND +state = :state AND elapsed IS NOT NULL
    ORDER BY elapsed {order} LIMIT 1
"""


def _extreme(tx: Transaction, state: State, *, longest: bool) -> tuple[int, float] | None:
    """Which job in ``state`` took the ``longest`` or the shortest time, and that; None when there is none."""
    order, best, bound = ("DESC", "max", "longest") if longest else ("ASC", "min", "shortest")
    found: tuple[int, float] | None = None
    for block, promised in tx.execute(_BLOCKS.format(best=best, bound=bound, order=order), (state,)):
        if found is not None and not _is_better(promised, found[1], longest=longest):
            break
        row = tx.execute(_IN_BLOCK.format(order=order), {"block": block, "state": state}).fetchone()
        if row is not None and (found is None or _is_better(row[1], found[1], longest=longest)):
            found = row
    return found


def _is_better(one: float, other: float, *, longest: bool) -> bool:
    return one > other if longest else one < other


def _performance(tx: Transaction, now: datetime, ended: _Ended) -> dict[str, object]:
    """Average time of a finished job, and how many finished in the last hours, by whole minutes."""
    finished = [row for row in ended if row[0] == State.FINISHED]
    # What a person has done has no time of its own.
    (done,) = tx.execute(
        "SELECT count(*) FROM jobs WHERE kind IS NOT NULL AND +state = 'finished'"
    ).fetchone()
    count = sum(row[2] for row in finished) - done
    average = sum(row[3] for row in finished) / max(count, 1) / 1000
    minutes = [utc_text((now - timedelta(hours=hours)).timestamp())[:16] for hours in _HOURS]
    rows = tx.execute("SELECT minute, jobs FROM minutes WHERE minute > ?", (minutes[-1],)).fetchall()
    counts = [sum(jobs for minute, jobs in rows if minute > since) for since in minutes]
    return {
        "avg_time_per_job": duration_text(average),
        "n_jobs_in_last_hrs": dict(zip(_HOURS, counts, strict=True)),
    }


def _exit_statuses(exit_map: Mapping[str, Sequence[int]], ended: _Ended) -> dict[str, int]:
    """Successes, failures (another exit status, a signal, dead), and the groups of ``exit_map``."""
    finished = {row[1]: row[2] for row in ended if row[0] == State.FINISHED}
    successes = finished.get(0, 0)
    named = {name: sum(finished.get(code, 0) for code in set(codes)) for name, codes in exit_map.items()}
    return {"successes": successes, "failures": sum(row[2] for row in ended) - successes, **named}
