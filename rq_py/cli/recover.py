"""``rqpy recover``: checks the database, repairs it, upgrades it."""

from __future__ import annotations

import click

from rq_py.cli.context import Context
from rq_py.cli.output import output_option, write_document
from rq_py.errors import UsageError


@click.command(epilog="\b\nExample:\n  $ rqpy /tmp/q recover")
@click.option("--break", "break_lock", is_flag=True, help="Replace the database's generation at once.")
@click.option("--upgrade", is_flag=True, help="Bring an old schema up to date; older rqpys refuse it then.")
@output_option
@click.pass_obj
def command(context: Context, break_lock: bool, upgrade: bool, output: str) -> int:
    """Check the database, and repair it where it is corrupt, while feeders run on.

    A corrupt database is replaced by a new generation with all rows that can be read; when jobs were
    lost, the exit status is 1 and the corrupt files are kept. --break is for an operator who knows that
    whoever holds the lock is gone: nobody waits for its lease then. Nothing acknowledged is lost by it.
    """
    if break_lock and upgrade:
        raise UsageError("--break and --upgrade exclude each other: break first")
    queue = context.queue()
    found = queue.recover(break_lock=break_lock, upgrade=upgrade)
    write_document(found, output)
    return 1 if found.get("jobs_lost") else 0
