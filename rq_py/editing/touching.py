"""Touch: the waiting jobs with a command and a tag are changed, or one is submitted, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from rq_py.batches import Batches
from rq_py.clock import utc_text
from rq_py.editing.changes import UPDATABLE, Changes, Plan, TouchChanges, spec_of
from rq_py.editing.edits import Edited, apply, new_token, note
from rq_py.job import JobSpec
from rq_py.selection import Chosen
from rq_py.staging import Staging
from rq_py.store.transaction import Store, Transaction
from rq_py.submission import acknowledged, insert
from rq_py.timing import pass_due

#: The position at which is staged what a job that does not exist yet is to have.
_NEW = 0


def touch(store: Store, command: str, tag: str | None, changes: TouchChanges, *, cwd: str) -> Edited:
    """Change the waiting jobs with this command and tag, or submit one, by default in ``cwd``.

    Without changes, the job is only there afterwards. Raises UsageError, InputError.
    """
    spec = spec_of(cast("Changes", {"cwd": cwd, **changes, "command": command, "tag": tag}))
    plan = Plan.of(cast("Changes", changes))
    token = new_token()
    if not plan.files:
        work = _work(spec, plan, token, None, set())
        return cast("Edited", acknowledged(store, work, token=token, staging=None, verb="touched"))
    staging = Staging(store.directory, store.settings, token, replacing=True)
    try:
        plan.stage(staging, [_NEW])
        staged = {_NEW}
        while True:
            with store.read() as tx:
                further = [jid for jid in _like(tx, spec).jids() if jid not in staged]
            plan.stage(staging, further, again=True)
            staged.update(further)
            work = _work(spec, plan, token, staging, staged)
            edited = acknowledged(store, work, token=token, staging=staging, verb="touched")
            if edited is not None:
                return edited
    finally:
        staging.discard()


def _work(
    spec: JobSpec, plan: Plan, token: str, staging: Staging | None, staged: set[int]
) -> Callable[[Transaction], Edited | None]:
    """The transaction; it changes nothing where jobs match for which nothing is staged, and returns None."""

    def work(tx: Transaction) -> Edited | None:
        if plan.key is not None:
            pass_due(tx, utc_text())  # what has expired has its key no longer
        chosen = _like(tx, spec)
        if staging is not None and not staged.issuperset(chosen.jids()):
            return None
        if chosen.count:
            apply(tx, chosen, plan, staging)
            note(tx, token, chosen.count)
            return Edited(chosen, chosen.rows())
        batches = Batches(has_stdin=plan.gives("stdin"), has_data=plan.gives("data"))
        batches.append(spec, (spec.command,))
        batches.complete()
        chosen.count = 1
        return Edited(chosen, insert(tx, batches, staging, token))

    return work


def _like(tx: Transaction, spec: JobSpec) -> Chosen:
    """The jobs that wait and have the command and tag of ``spec``."""
    return Chosen(tx, None, UPDATABLE, like=(spec.command, spec.tag))
