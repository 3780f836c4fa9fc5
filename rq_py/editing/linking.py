"""What an edit changes about the jobs that the chosen ones are after, and whether they may collect."""

from __future__ import annotations

from collections.abc import Sequence

from rq_py import dependencies
from rq_py.clock import utc_text
from rq_py.dependencies import FOLLOWS, check_cycles, link, unlink
from rq_py.errors import InputError
from rq_py.formats.afters import split
from rq_py.selection import IN_BATCH, Chosen
from rq_py.store.transaction import Transaction

_NO_COLLECTOR = f"""
    SELECT jid, has_stdin FROM jobs WHERE jid IN (SELECT jid FROM chosen) AND collect
        AND (has_stdin OR NOT links & {FOLLOWS}) LIMIT 1
"""  # noqa: S608


def relink(tx: Transaction, chosen: Chosen, after: Sequence[str]) -> None:
    """Let the chosen jobs be after these jobs, and no others. Raises InputError."""
    others = []
    for text in after:
        job, condition = split(text)
        if isinstance(job, str):
            raise InputError(f"after: {job}: is no jid; names hold within one submit")
        others.append((job, condition))
    check_cycles(tx, others)
    now = utc_text()
    for batch in chosen.batches():
        unlink(tx, IN_BATCH, batch)
        if others:
            link(tx, IN_BATCH, batch, others, now)


def check_collectors(tx: Transaction) -> None:
    """Raise InputError when one of the chosen jobs collects, but is after none, or has another stdin."""
    found = tx.execute(_NO_COLLECTOR).fetchone()
    if found is not None:
        jid, has_stdin = found
        why = "is to have another stdin, too" if has_stdin else "is after no others"
        raise InputError(f"collect: job {jid} {why}")


def close(tx: Transaction, chosen: Chosen) -> None:
    """Before a resubmit: nothing that is after others is claimed until a feeder has settled it."""
    for batch in chosen.batches():
        dependencies.close(tx, f"{IN_BATCH} AND links & {FOLLOWS}", batch)
