"""``rqpy backup``: copies the whole queue."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from rq_py.cli.context import Context
from rq_py.cli.output import output_option, quiet_option, write_document
from rq_py.cli.printing import note


@click.command(epilog="\b\nExample:\n  $ rqpy /tmp/q backup /tmp/q.bak")
@click.argument("destination", required=False, metavar="[DEST]")
@quiet_option
@output_option
@click.pass_obj
def command(context: Context, destination: str | None, quiet: bool, output: str) -> None:
    """Copy the whole queue with streams and data to DEST, by default QUEUE.TIMESTAMP.bak beside it (UTC).

    The copy is a queue of its own, as the queue was at one moment. Jobs that ran at that moment are dead in
    it, with the reason backup, or pending where they are restartable: feed from it only when the queue is
    gone. The lock is held while the database is copied, not while files are.
    """
    queue = context.queue()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    place = Path(destination or f"{queue.path}.{stamp}.bak")
    copy = queue.backup(os.path.abspath(place))
    note(f"the backup {copy.path} was made")
    if not quiet:
        write_document({"q": str(copy.path), "uuid": copy.settings.uuid}, output)
