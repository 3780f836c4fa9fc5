"""``rqpy snapshot``: copies the jobs, to look at them without the lock."""

from __future__ import annotations

import os
from pathlib import Path

import click

from rq_py.cli.context import Context
from rq_py.cli.output import output_option, quiet_option, write_document
from rq_py.cli.printing import note


@click.command(epilog="\b\nExample:\n  $ rqpy /tmp/q snapshot && rqpy ./q.snapshot status")
@click.argument("destination", required=False, metavar="[DEST]")
@quiet_option
@output_option
@click.pass_obj
def command(context: Context, destination: str | None, quiet: bool, output: str) -> None:
    """Copy the queue's jobs, not their streams, to DEST, which the reading modes take as a queue.

    DEST is ./NAME.snapshot unless given; an older snapshot there is replaced. Query a busy queue's snapshot
    as often as you like: it competes with nobody for the lock. Nothing can be submitted to it or fed from it.
    """
    queue = context.queue()
    place = Path(destination or f"{queue.path.name}.snapshot")
    copy = queue.snapshot(os.path.abspath(place))
    note(f"the snapshot {copy.path} was made")
    if not quiet:
        write_document({"q": str(copy.path), "kind": copy.settings.kind, "uuid": copy.settings.uuid}, output)
