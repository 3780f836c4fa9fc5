"""A submit: read and check everything, stage, then insert all jobs in one transaction, or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rq_py.batches import Batches, Common
from rq_py.clock import utc_text
from rq_py.errors import InputError, OutcomeUnknown, RqError, StorageError
from rq_py.formats.jobspec import Alike
from rq_py.human import waits_for_person
from rq_py.job import JobSpec
from rq_py.locking.owner import node_name
from rq_py.store.tokens import is_noted, note_submit
from rq_py.store.transaction import Store, Transaction
from rq_py.submitted import Places, Submitted
from rq_py.timing import pass_due, waits_for_time

if TYPE_CHECKING:
    from rq_py.spool import Spool
    from rq_py.staging import Source, Staging

_COLUMNS = """
    INSERT INTO jobs (priority, state, submitted, submitter, required_runner, has_stdin, has_data,
                      tag, restartable, cwd, env,
                      not_before, expires, timeout, retries, backoff, waits, collect, key, kind, jid,
                      command)
"""
_INSERT = f"{_COLUMNS} VALUES ({', '.join('?' * 22)})"
#: The same for many commands, a JSON list: four times as fast (https://www.sqlite.org/json1.html#jeach).
_INSERT_MANY = f"{_COLUMNS} SELECT {', '.join('?' * 21)} + key, value FROM json_each(?)"  # noqa: S608

T = TypeVar("T")


def submit(
    store: Store, groups: Iterable[Alike], stdin: Source | None = None, data: Path | None = None
) -> Submitted:
    """Submit the jobs of ``groups`` in one transaction; each of them is given ``stdin`` and ``data``.

    ``groups`` is read to its end before the lock is taken. Raises InputError, StorageError, and
    whatever ``groups`` raises; the queue is unchanged then.
    """
    store.check_writable()
    token = os.urandom(16).hex()
    staging: Staging | None = None
    batches = Batches(has_stdin=stdin is not None, has_data=data is not None)
    try:
        for spec, commands, jid in groups:
            if stdin is not None or data is not None or spec.stdin or spec.data:
                if staging is None:
                    from rq_py.staging import Staging  # most submits stage nothing

                    staging = Staging(store.directory, store.settings, token)
                for position in range(batches.count, batches.count + len(commands)):
                    _stage(staging, position, spec, stdin, data)
            batches.append(spec, commands, jid)
        if not batches.count:
            raise InputError("no commands: nothing was submitted")
        batches.complete()
        return _insert(store, batches, staging, token)
    finally:
        if staging is not None:
            staging.discard()


def _stage(staging: Staging, position: int, spec: JobSpec, stdin: Source | None, data: Path | None) -> None:
    """Stage what the job at ``position`` is to have; what is given for all comes before its own."""
    if stdin is not None and position > 0:
        staging.add_stdin_again(position)
    elif stdin is not None:
        staging.add_stdin(position, stdin)
    elif spec.stdin:
        staging.add_copy(position, "stdin", spec.stdin)
    if data is not None:
        staging.add_data(position, data)
    elif spec.data:
        staging.add_copy(position, "data", spec.data)


def _insert(store: Store, batches: Batches, staging: Staging | None, token: str) -> Submitted:
    """Insert everything in one transaction."""

    def work(tx: Transaction) -> Submitted:
        return insert(tx, batches, staging, token)

    return acknowledged(store, work, token=token, staging=staging, verb="submitted")


def insert(tx: Transaction, batches: Batches, staging: Staging | None, token: str) -> Submitted:
    """Insert the jobs with the next jids, give them what is staged, and note the token.

    A job whose key another one has that waits or runs is not inserted: it is that one.
    """
    submitted, submitter = utc_text(), node_name()
    if batches.have_keys:
        pass_due(tx, submitted)  # what has expired has its key no longer
    places = Places(_next_jid(tx))
    position = 0
    for common, commands in batches:
        values = _values(common, submitted, submitter)
        if common.key is not None:
            for place, command in enumerate(commands, position):
                known = _holder(tx, common.key)
                if known is None:
                    tx.execute(_INSERT, (*values, places.jid_of(place), command))
                else:
                    places.was_there(place, known)
        elif len(commands) == 1:
            tx.execute(_INSERT, (*values, places.jid_of(position), commands[0]))
        else:
            import json

            text = json.dumps(commands, ensure_ascii=False)
            tx.execute(_INSERT_MANY, (*values, places.jid_of(position), text))
        position += len(commands)
        tx.beat()
    if staging is not None:  # touch has staged at other positions too
        count = batches.count
        staging.adopt(
            lambda position: (
                places.jid_of(position) if position < count and places.is_new(position) else None
            ),
            tx.beat,
        )
    dead = _link(tx, batches, places, submitted) if batches.names.are_wanted else frozenset[int]()
    done = Submitted(batches, places, submitted, submitter, dead)
    if done.new:
        note_submit(tx, token, places.first_jid, done.new, submitted)
    if len(places):
        _read_those_there(tx, places, done.were_there)
    return done


def _holder(tx: Transaction, key: str) -> int | None:
    """The job that has ``key`` already."""
    from rq_py.keys import holder  # most jobs have none

    return holder(tx, key)


def _read_those_there(tx: Transaction, places: Places, rows: Spool) -> None:
    """Append the rows of the jobs that were there, as they are now."""
    from rq_py.store.rows import COLUMNS

    for jid in places:
        rows.append(tx.execute(f"SELECT {COLUMNS} FROM jobs WHERE jid = ?", (jid,)).fetchone())  # noqa: S608
        tx.beat()


def _link(tx: Transaction, batches: Batches, places: Places, now: str) -> frozenset[int]:
    """Let the new jobs be after others, which may be new as well; returns those that are dead of it."""
    from rq_py.dependencies import check_not_after_itself, link, settle  # most jobs are after nothing

    buried = 0
    position = 0
    for common, commands in batches:
        new: Sequence[int] = range(position, position + len(commands))
        if common.key is not None:
            new = [place for place in new if places.is_new(place)]  # their jids are in a row
        if common.after and new:
            after = batches.names.resolved(common.after, places.jid_of)
            values: dict[str, object] = {"first": places.jid_of(new[0]), "last": places.jid_of(new[-1])}
            buried += link(tx, "jid BETWEEN :first AND :last", values, after, now)
        position += len(commands)
    for jid in places:
        if jid >= places.first_jid:  # two of the new jobs are one: others may be between them
            check_not_after_itself(tx, jid)
    if not buried:
        return frozenset()
    settle(tx, now)  # others of the new jobs may be after those
    sql = "SELECT jid FROM jobs WHERE jid >= ? AND +state = 'dead'"
    return frozenset(jid for (jid,) in tx.execute(sql, (places.first_jid,)))


def _values(common: Common, submitted: str, submitter: str) -> Sequence[object]:
    """What _INSERT binds first."""
    state = "holding" if common.stage else "pending"
    return (
        common.priority, state, submitted, submitter, common.required_runner, common.has_stdin,
        common.has_data, common.tag, common.restartable, common.cwd, common.env,
        common.not_before, common.expires, common.timeout, common.retries, common.backoff,
        waits_for_time(common.not_before, submitted) | waits_for_person(common.kind),
        common.collect, common.key, common.kind,
    )  # fmt: skip


def acknowledged(
    store: Store, work: Callable[[Transaction], T], *, token: str, staging: Staging | None, verb: str
) -> T:
    """Do ``work``, which notes ``token``, in one transaction, and return what it returns.

    After an ambiguous COMMIT the database is asked by the token; the work is never repeated. Where nothing
    was committed, what was staged is taken back. ``verb`` says in messages what was done to the jobs. Raises
    StorageError, and OutcomeUnknown when the database cannot be asked.
    """
    results = []
    try:
        with store.write() as tx:
            try:
                results.append(work(tx))
            except BaseException:
                if staging is not None:
                    staging.take_back()
                raise
    except RqError as error:
        is_unknown = isinstance(error, OutcomeUnknown)
        if not is_unknown and (staging is None or not staging.is_adopted):
            raise
        if not _was_committed(store, token, staging, error, verb):
            if is_unknown:
                raise StorageError(f"nothing was {verb}, try again: {error}") from error
            raise
    return results[0]


def _was_committed(store: Store, token: str, staging: Staging | None, error: RqError, verb: str) -> bool:
    """Ask the database by token, and take back what is staged if not. Raises OutcomeUnknown."""
    try:
        with store.read() as tx:
            was_committed = is_noted(tx, token)
            if not was_committed and staging is not None:
                staging.take_back()
    except RqError as second:
        if staging is not None:
            staging.keep()
        raise OutcomeUnknown(
            f"the jobs may have been {verb} or not, look before you try again: {error}: {second}"
        ) from error
    return was_committed


def _next_jid(tx: Transaction) -> int:
    """The jid after the highest that was ever given (https://www.sqlite.org/autoinc.html)."""
    row = tx.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
    return int(row[0]) + 1 if row else 1
