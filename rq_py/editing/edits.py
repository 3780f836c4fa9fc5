"""Delete, update, resubmit: each one transaction for all selected jobs.

The rows come back in a spool, so that nothing is printed under the lock. Statements change jobs in batches:
SQLite keeps the old pages of what one statement changes in memory, and others must see signs of life.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import cast

from rq_py.clock import utc_text
from rq_py.editing.changes import UPDATABLE, Changes, Plan
from rq_py.errors import RqError, UsageError
from rq_py.job import Job, State
from rq_py.keys import check_given, check_kept
from rq_py.locking.owner import node_name
from rq_py.selection import IN_BATCH, Chosen, Selection
from rq_py.spool import Spool
from rq_py.staging import Staging
from rq_py.store.rows import KEEP_OUTCOME, jobs_of
from rq_py.store.tokens import note_edit
from rq_py.store.transaction import Store, Transaction
from rq_py.submission import acknowledged
from rq_py.submitted import Submitted
from rq_py.timing import pass_due

#: The states in which a job may be deleted or resubmitted.
IDLE = (State.PENDING, State.HOLDING, State.FINISHED, State.DEAD)

#: Everything that the end of an attempt has left in a row.
_NO_OUTCOME: Mapping[str, None] = dict.fromkeys(
    (
        "started", "finished", "elapsed", "runner", "feeder", "pid",
        "exit_status", "signal", "reason", "completed_by", "note", "user_cpu", "system_cpu", "max_rss",
    )
)  # fmt: skip


_NOTE_REMOVALS = f"""
    INSERT OR IGNORE INTO removals
    SELECT jid FROM jobs WHERE {IN_BATCH} AND (has_stdin OR has_data OR attempt > 0)
"""  # noqa: S608
_KEEP_OUTCOMES = f"""
    {KEEP_OUTCOME} WHERE {IN_BATCH} AND state IN ('finished', 'dead')
        AND (started IS NOT NULL OR completed_by IS NOT NULL)
"""
_FORGET_EXPIRY = f"UPDATE jobs SET expires = NULL WHERE {IN_BATCH} AND expires <= :now"  # noqa: S608
_DELETE = f"DELETE FROM jobs WHERE {IN_BATCH}"  # noqa: S608


class Edited:
    """The jobs of one acknowledged edit: as they are after it, those that were deleted as they were before.

    Iterating reads the spool: no lock is held. ``count`` jobs were changed, also where no rows were kept.
    ``refused`` holds jid and state of jobs that were named by jid and did not allow it, ``missing`` the jids
    of which there is no job, ``unmatched`` the named states that no job was in. ``leftover`` says why files
    of deleted jobs are still there, None when they are gone.
    """

    def __init__(self, chosen: Chosen, rows: Spool | Submitted) -> None:
        self._rows = rows
        self.count = chosen.count
        self.refused = chosen.refused
        self.missing = chosen.missing
        self.unmatched = chosen.unmatched
        self.leftover: str | None = None

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Job]:
        if isinstance(self._rows, Submitted):
            return iter(self._rows)
        return jobs_of(cast("Iterable[list[object]]", self._rows))


def delete(store: Store, selection: Selection, *, keep_rows: bool = True) -> Edited:
    """Delete the selected jobs that do not run, then remove their streams and data.

    A kill in between leaves files of deleted jobs; the next delete, or feeder that starts, removes them.
    Raises UsageError.
    """
    from rq_py.removal import remove_noted

    _check_selection(selection, IDLE, "deleted")
    token = new_token()

    def work(tx: Transaction) -> Edited:
        chosen = Chosen(tx, selection, IDLE)
        rows = chosen.rows() if keep_rows else Spool()
        for batch in chosen.batches():
            tx.execute(_NOTE_REMOVALS, batch)
            tx.execute(_DELETE, batch)
        note(tx, token, chosen.count)
        return Edited(chosen, rows)

    edited = acknowledged(store, work, token=token, staging=None, verb="deleted")
    if edited.count:
        try:
            remove_noted(store)
        except RqError as error:  # the jobs are deleted all the same
            edited.leftover = str(error)
    return edited


def update(store: Store, selection: Selection, changes: Changes, *, keep_rows: bool = True) -> Edited:
    """Change the selected jobs that are pending or holding. Raises UsageError, InputError."""
    _check_selection(selection, UPDATABLE, "updated")
    plan = Plan.of(changes)
    if not plan.changes_anything:
        raise UsageError("say what to change")
    return _change(store, selection, plan, UPDATABLE, "updated", keep_rows=keep_rows)


def resubmit(store: Store, selection: Selection, changes: Changes, *, keep_rows: bool = True) -> Edited:
    """Make the selected jobs that do not run pending (or holding) as if they were new.

    They keep their jid, their attempts and, unless ``changes`` says otherwise, all that was asked for with
    them. What they wrote is there until they run again. Raises UsageError, InputError.
    """
    _check_selection(selection, IDLE, "resubmitted")
    plan = Plan.of({"state": State.PENDING, **changes})
    plan.columns |= {
        "submitted": utc_text(), "submitter": node_name(), "token": "", "retried": 0, **_NO_OUTCOME,
    }  # fmt: skip

    def first(tx: Transaction, chosen: Chosen) -> None:
        if "key" not in plan.columns:
            check_kept(tx)
        begin_anew(tx, chosen)

    return _change(store, selection, plan, IDLE, "resubmitted", keep_rows=keep_rows, first=first)


def _change(
    store: Store,
    selection: Selection,
    plan: Plan,
    allowed: Sequence[State],
    verb: str,
    *,
    keep_rows: bool,
    first: Callable[[Transaction, Chosen], None] | None = None,
) -> Edited:
    """Apply ``plan`` to the selected jobs in an allowed state; ``first`` is done to them before.

    Files are staged without the lock, for the jobs that are allowed then; of these, those that still are get
    them in the transaction.
    """
    token = new_token()
    staging: Staging | None = None
    staged: Spool | None = None
    if any(plan.gives(kind) for kind in plan.files):
        staged = Spool()
        with store.read() as tx:
            for jid in Chosen(tx, selection, allowed).jids():
                staged.append([jid])
    if plan.files:
        staging = Staging(store.directory, store.settings, token, replacing=True)

    def work(tx: Transaction) -> Edited:
        if plan.key is not None or first is not None:
            pass_due(tx, utc_text())  # what has expired has its key no longer
        chosen = Chosen(tx, selection, allowed, among=staged)
        if first is not None:
            first(tx, chosen)
        apply(tx, chosen, plan, staging)
        note(tx, token, chosen.count)
        return Edited(chosen, chosen.rows() if keep_rows else Spool())

    try:
        if staging is not None and staged is not None:
            plan.stage(staging, [cast("int", row[0]) for row in staged])
        return acknowledged(store, work, token=token, staging=staging, verb=verb)
    finally:
        if staging is not None:
            staging.discard()


def apply(tx: Transaction, chosen: Chosen, plan: Plan, staging: Staging | None) -> None:
    """Give the chosen jobs what is planned: their files, their columns, and what they are after."""
    if plan.key is not None:
        check_given(tx, plan.key, chosen.count)
    if staging is not None:
        jids = chosen.jids()
        known = frozenset(jids)
        staging.adopt(lambda position: position if position in known else None, tx.beat)
        for kind in plan.files:
            if not plan.gives(kind):
                staging.put_away(kind, jids, tx.beat)
    sets, values = plan.assignments()
    if sets:
        for batch in chosen.batches():
            tx.execute(f"UPDATE jobs SET {sets} WHERE {IN_BATCH}", {**values, **batch})  # noqa: S608
    if plan.is_about_others:
        from rq_py.editing import linking  # few edits are

        if plan.after is not None:
            linking.relink(tx, chosen, plan.after)
        linking.check_collectors(tx)


def begin_anew(tx: Transaction, chosen: Chosen) -> None:
    """Before a resubmit: keep how the last attempt ended, and forget a time of expiry that is over."""
    from rq_py.editing import linking

    linking.close(tx, chosen)
    now = utc_text()
    for batch in chosen.batches():
        tx.execute(_KEEP_OUTCOMES, batch)
        tx.execute(_FORGET_EXPIRY, {**batch, "now": now})


def _check_selection(selection: Selection, allowed: Sequence[State], verb: str) -> None:
    """Raise UsageError when no job is named, or a whole state that the verb is not for."""
    if selection.is_unnamed:
        raise UsageError("name the jobs: states, jids, or all")
    for state in selection.states:
        if state not in allowed:
            raise UsageError(f"{state} jobs cannot be {verb}, only {' '.join(allowed)} ones")


def new_token() -> str:
    """A token for one transaction."""
    return os.urandom(16).hex()


def note(tx: Transaction, token: str, count: int) -> None:
    """Note the token, where anything is changed."""
    if count:
        note_edit(tx, token, count)
