"""A submit: read and check everything, stage, then insert all jobs in one transaction, or none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rq_py.clock import utc_text
from rq_py.errors import InputError, OutcomeUnknown, RqError, StorageError
from rq_py.formats.jobspec import spec_from_mapping
from rq_py.job import Job, JobSpec, State
from rq_py.locking.owner import node_name
from rq_py.queuedir import Generation
from rq_py.spool import Spool
from rq_py.store.transaction import Store, Transaction

if TYPE_CHECKING:
    from rq_py.staging import Source, Staging

#: For how long a submit is remembered by its token, hours; the newest ones in any case, because the hours
#: are by the clocks of two nodes.
REMEMBERED_HOURS, ALWAYS_REMEMBERED = 24, 1000

_FORGET = """
    DELETE FROM submits WHERE submitted < ?
        AND first_jid < (SELECT first_jid FROM submits ORDER BY first_jid DESC LIMIT 1 OFFSET ?)
"""

_INSERT = """
    INSERT INTO jobs (jid, priority, state, submitted, submitter, required_runner, has_stdin, has_data,
                      tag, restartable, cwd, env, command, ready)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

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
    if not store.may_write:
        raise StorageError(f"{store.directory.path}: no permission to write: ask the queue's owner")
    token = os.urandom(16).hex()
    staging: Staging | None = None
    spool = Spool()
    try:
        for position, spec in enumerate(specs):
            check(spec, f"job {position + 1}")
            if stdin is not None or data is not None or spec.stdin or spec.data:
                if staging is None:
                    from rq_py.staging import Staging  # most submits stage nothing

                    staging = Staging(store.directory, store.settings, token)
                _stage(staging, position, spec, stdin, data)
            spool.append(_row(spec, stdin is not None, data is not None))
        if not len(spool):
            raise InputError("no commands: nothing was submitted")
        return _insert(store, spool, staging, token)
    finally:
        if staging is not None:
            staging.discard()


def check(spec: JobSpec, where: str) -> None:
    """Raise InputError, beginning with ``where``, for a job that cannot be stored or run."""
    spec_from_mapping(
        {
            "command": spec.command,
            "priority": spec.priority,
            "tag": spec.tag,
            "required_runner": spec.required_runner,
            "restartable": spec.restartable,
            "cwd": spec.cwd,
            "env": spec.env,
            "stdin": spec.stdin,
            "data": spec.data,
        },
        where,
    )


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


def _row(spec: JobSpec, has_stdin: bool, has_data: bool) -> _Row:
    """The row of the spool for ``spec``."""
    env = None
    if spec.env:
        import json

        env = json.dumps(dict(spec.env), ensure_ascii=False)
    return (
        spec.command,
        spec.priority,
        spec.tag,
        spec.required_runner,
        spec.restartable,
        spec.stage,
        spec.cwd,
        env,
        has_stdin or bool(spec.stdin),
        has_data or bool(spec.data),
    )


def _insert(store: Store, spool: Spool, staging: Staging | None, token: str) -> Submitted:
    """Insert everything in one transaction; after an ambiguous COMMIT ask by token, never insert again."""
    submitted, submitter = utc_text(), node_name()
    try:
        with store.write() as tx:
            generation, first_jid = tx.generation, _next_jid(tx)
            with _adopted(staging, first_jid, tx):
                tx.executemany(_INSERT, _rows(spool, first_jid, submitted, submitter))
                tx.execute(
                    "INSERT INTO submits (token, first_jid, count, submitted) VALUES (?, ?, ?, ?)",
                    (token, first_jid, len(spool), submitted),
                )
                oldest = datetime.now(UTC) - timedelta(hours=REMEMBERED_HOURS)
                tx.execute(_FORGET, (utc_text(oldest.timestamp()), ALWAYS_REMEMBERED))
    except OutcomeUnknown as unknown:
        if not _was_submitted(store, token, unknown, staging, first_jid, generation):
            raise StorageError(f"nothing was submitted, submit again: {unknown}") from unknown
    return Submitted(spool, first_jid, submitted, submitter)


@contextmanager
def _adopted(staging: Staging | None, first_jid: int, tx: Transaction) -> Iterator[None]:
    """Give the staged files to the jids from ``first_jid`` on, unless the block fails."""
    if staging is None:
        yield
        return
    try:
        staging.adopt(first_jid, tx.beat)
        yield
    except BaseException:
        staging.take_back()
        raise


def _was_submitted(  # noqa: PLR0917
    store: Store,
    token: str,
    unknown: OutcomeUnknown,
    staging: Staging | None,
    first_jid: int,
    generation: Generation,
) -> bool:
    """Ask the database by token. Raises OutcomeUnknown when it cannot be asked."""
    try:
        with store.read() as tx:
            row = tx.execute("SELECT 1 FROM submits WHERE token = ?", (token,)).fetchone()
            # Nobody else has been given these jids yet, or ever will be (store/successor.py).
            is_ours = _next_jid(tx) <= first_jid or tx.generation != generation
            if row is None and staging is not None and is_ours:
                staging.take_back()
    except RqError as error:
        raise OutcomeUnknown(
            f"the jobs may have been submitted or not, look before you submit again: {unknown}: {error}"
        ) from error
    return row is not None


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
