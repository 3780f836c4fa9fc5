"""Complete: a person says that human steps are done, or have failed; one transaction for all of them."""

from __future__ import annotations

import os
import pwd

from rq_py.clock import utc_text
from rq_py.dependencies import AFTER, settle
from rq_py.editing.edits import Edited, new_token, note
from rq_py.errors import InputError, UsageError
from rq_py.formats.excerpt import shown
from rq_py.human import HUMAN, PERSON
from rq_py.job import State
from rq_py.locking.owner import node_name
from rq_py.selection import IN_BATCH, Chosen, Selection
from rq_py.spool import Spool
from rq_py.store.transaction import Store, Transaction
from rq_py.submission import acknowledged
from rq_py.timing import pass_due

#: The longest note in bytes.
MAX_NOTE_BYTES = 64 * 1024

# What a pending job is because of which nobody completes it, NULL where it is to be done.
_WHY_NOT = f"""
    CASE WHEN kind IS NOT '{HUMAN}' THEN 'no human step'
         WHEN waits & {AFTER} THEN 'after others that have not ended'
         WHEN waits <> {PERSON} THEN 'not to be done yet' END
"""
_COMPLETE = f"""
    UPDATE jobs SET state = 'finished', attempt = attempt + 1, finished = :now, exit_status = :exit_status,
        completed_by = :person, note = :note
    WHERE {IN_BATCH} AND state = 'pending' AND kind = '{HUMAN}' AND waits = {PERSON}
"""  # noqa: S608


def complete(
    store: Store, selection: Selection, *, fail: bool = False, text: str | None = None, keep_rows: bool = True
) -> Edited:
    """Finish the selected human steps: with exit status 0, or 1 where they ``fail``; ``text`` is the note.

    Those whose turn it is not are refused. Raises UsageError, InputError.
    """
    if selection.states or selection.is_everything:
        raise UsageError("name the jobs by their jids")
    _check_note(text)
    token = new_token()
    values = {"exit_status": int(fail), "person": person(), "note": text or None}

    def work(tx: Transaction) -> Edited:
        now = utc_text()
        pass_due(tx, now)  # what has expired is dead, and what is after others that have ended is to be
        settle(tx, now)  # done, also where no feeder has looked since
        chosen = Chosen(tx, selection, (State.PENDING,))
        chosen.refuse(_WHY_NOT)
        for batch in chosen.batches():
            tx.execute(_COMPLETE, {**values, **batch, "now": now})
        note(tx, token, chosen.count)
        return Edited(chosen, chosen.rows() if keep_rows else Spool())

    return acknowledged(store, work, token=token, staging=None, verb="completed")


def _check_note(text: str | None) -> None:
    """Raise InputError for a note that no listing could show."""
    if text is None:
        return
    if "\0" in text:
        raise InputError(f"note: {shown(text)} holds a NUL byte")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InputError(f"note: {shown(text)} is not valid UTF-8") from None
    if size > MAX_NOTE_BYTES:
        raise InputError(f"note: has {size} bytes, at most {MAX_NOTE_BYTES} fit: put it into a file")


def person() -> str:
    """Who this process acts for: ``ara@redfish``, by the user that the system knows; else the number."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"{name}@{node_name()}"
