"""A submit: read and check everything, stage, then insert all jobs in one transaction, or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from rq_py.clock import utc_text
from rq_py.errors import InputError, OutcomeUnknown, RqError, StorageError
from rq_py.formats.jobspec import checked
from rq_py.job import Job, JobSpec, State
from rq_py.locking.owner import node_name
from rq_py.spool import Spool
from rq_py.store.tokens import is_noted, note_submit
from rq_py.store.transaction import Store, Transaction

if TYPE_CHECKING:
    from rq_py.staging import Source, Staging

_INSERT = """
    INSERT INTO jobs (jid, priority, state, submitted, submitter, required_runner, has_stdin, has_data,
                      tag, restartable, cwd, env, command, ready)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

T = TypeVar("T")

#: One row of the spool.
_Row = tuple[str, int, str | None, str | None, bool, bool, str | None, str | None, bool, bool]


class Submitted:
    """The jobs of one acknowledged submit. Iterating reads the spool: no lock is held."""

    def __init__(self, spool: Spool, first_jid: int, submitted: str, submitter: str) -> None:
        self._spool = spool
        self.first_jid = first_jid
        self._submitted = submitted
        self._submitter = submitter

    @property
    def count(self) -> int:
        """How many jobs were submitted."""
        return len(self._spool)

    def __len__(self) -> int:
        return len(self._spool)

    def __iter__(self) -> Iterator[Job]:
        for jid, row in enumerate(self._spool, self.first_jid):
            command, priority, tag, required, restartable, stage, cwd, env, stdin, data = cast("_Row", row)
            state = State.HOLDING if stage else State.PENDING
            yield Job(
                jid=jid,
                priority=priority,
                state=state,
                submitted=self._submitted,
                started=None,
                finished=None,
                elapsed=None,
                submitter=self._submitter,
                runner=None,
                required_runner=required,
                has_stdin=stdin,
                has_data=data,
                pid=None,
                exit_status=None,
                signal=None,
                reason=None,
                attempt=0,
                user_cpu=None,
                system_cpu=None,
                max_rss=None,
                tag=tag,
                restartable=restartable,
                cwd=cwd,
                env=env,
                command=command,
                token="",
                feeder=None,
            )


def submit(
    store: Store, specs: Iterable[JobSpec], stdin: Source | None = None, data: Path | None = None
) -> Submitted:
    """Submit ``specs`` in one transaction; ``stdin`` and ``data`` are given to every one of them.

    ``specs`` is read to its end before the lock is taken. Raises InputError, StorageError, and
    whatever ``specs`` raises; the queue is unchanged then.
    """
    store.check_writable()
    token = os.urandom(16).hex()
    staging: Staging | None = None
    spool = Spool()
    try:
        for position, given in enumerate(specs):
            spec = checked(given, f"job {position + 1}")
            if stdin is not None or data is not None or spec.stdin or spec.data:
                if staging is None:
                    from rq_py.staging import Staging  # most submits stage nothing

                    staging = Staging(store.directory, store.settings, token)
                _stage(staging, position, spec, stdin, data)
            spool.append(row_of(spec, stdin is not None, data is not None))
        if not len(spool):
            raise InputError("no commands: nothing was submitted")
        return _insert(store, spool, staging, token)
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


def row_of(spec: JobSpec, has_stdin: bool, has_data: bool) -> _Row:
    """The row of the spool for ``spec``, as ``insert`` takes it."""
    return (
        spec.command,
        spec.priority,
        spec.tag,
        spec.required_runner,
        spec.restartable,
        spec.stage,
        spec.cwd,
        env_text(spec.env),
        has_stdin or bool(spec.stdin),
        has_data or bool(spec.data),
    )


def env_text(variables: Mapping[str, str]) -> str | None:
    """The column ``env`` for these variables."""
    if not variables:
        return None
    import json

    return json.dumps(dict(variables), ensure_ascii=False)


def _insert(store: Store, spool: Spool, staging: Staging | None, token: str) -> Submitted:
    """Insert everything in one transaction."""

    def work(tx: Transaction) -> Submitted:
        return insert(tx, spool, staging, token)

    return acknowledged(store, work, token=token, staging=staging, verb="submitted")


def insert(tx: Transaction, spool: Spool, staging: Staging | None, token: str) -> Submitted:
    """Insert the rows of ``spool`` with the next jids, give them what is staged, and note the token."""
    submitted, submitter = utc_text(), node_name()
    first_jid = _next_jid(tx)
    if staging is not None:
        count = len(spool)  # touch has staged at other positions too
        staging.adopt(lambda position: first_jid + position if position < count else None, tx.beat)
    tx.executemany(_INSERT, _rows(spool, first_jid, submitted, submitter))
    note_submit(tx, token, first_jid, len(spool), submitted)
    return Submitted(spool, first_jid, submitted, submitter)


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


def _rows(spool: Spool, first_jid: int, submitted: str, submitter: str) -> Iterator[Sequence[object]]:
    """The spool's rows as parameters of _INSERT."""
    for jid, row in enumerate(spool, first_jid):
        command, priority, tag, required, restartable, stage, cwd, env, stdin, data = row
        state, ready = ("holding", None) if stage else ("pending", required or "")
        yield (
            jid, priority, state, submitted, submitter, required, stdin, data,
            tag, restartable, cwd, env, command, ready,
        )  # fmt: skip
