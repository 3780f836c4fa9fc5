"""``rqpy rotate``: moves jobs that have ended out of the queue."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from rq_py.cli.context import Context
from rq_py.cli.output import output_option, quiet_option, write_document
from rq_py.cli.printing import note, print_line


@click.command(epilog="\b\nExample:\n  $ rqpy /tmp/q rotate /tmp/q.january && rqpy /tmp/q.january list")
@click.argument("destination", required=False, metavar="[NAME|DIR]")
@click.option("--tgz", is_flag=True, help="Pack the rotation into NAME.tgz instead of leaving a directory.")
@quiet_option
@output_option
@click.pass_obj
def command(context: Context, destination: str | None, tgz: bool, quiet: bool, output: str) -> None:
    """Move finished and dead jobs, with their streams and data, to a rotation: a directory of their own.

    The rotation is NAME, or in the directory DIR, and by default QUEUE.TIMESTAMP (UTC). list, status,
    query, stdout and the like read it as they read a queue. A packed one is to be unpacked by tar first. All
    is copied and on stable storage before the queue lets go of a job. When rotate was killed, a job may be in
    both, and the queue's counts; rotate to the same NAME completes it.
    """
    queue = context.queue()
    default = f"{queue.path.name}.{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}"
    if destination is None:
        place = queue.path.with_name(default)
    else:
        place = Path(os.path.abspath(destination))
        # A directory that is no rotation is one to put rotations in.
        if place.is_dir() and not (place / "queue.yml").exists():
            place /= default
    rotated = queue.rotate(place, tgz=tgz)
    if rotated.path is None:
        print_line(f"no job has ended in {queue.path}: there is nothing to rotate", "info")
        return
    note(f"{rotated.jobs} jobs are in the rotation {rotated.path}")
    if not quiet:
        write_document({"rotation": str(rotated.path), "jobs": rotated.jobs}, output)
