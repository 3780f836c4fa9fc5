"""``rqpy list``: shows jobs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rq_py.cli.context import Context
from rq_py.cli.output import chosen_fields, listing_options, write_jobs
from rq_py.cli.printing import print_line
from rq_py.cli.selectors import read_selection


@click.command(epilog="\b\nExample:\n  $ rqpy q list pending --fields jid,command")
@click.argument("selectors", nargs=-1, metavar="[STATE|JID|-]...")
@listing_options
@click.pass_obj
def command(context: Context, selectors: Sequence[str], output: str, fields: Sequence[str]) -> int:
    """Show jobs, all of them unless states or jids are named.

    A state is pending, holding, running, finished, dead or all, or the beginning of one: p h r f d a. For -,
    stdin names jobs too: a listing, of which the jids count, or one jid per line. The exit status is 1 when
    one that is named matches no job. The queue is not locked while jobs are printed.
    """
    shown = chosen_fields(fields)
    selection = read_selection(selectors)
    jobs = context.queue().jobs(*selection.wanted)
    write_jobs(selection.watch(jobs), output, shown)
    if selection.is_nothing:
        print_line("stdin names no jobs")
    for name in selection.unmatched:
        print_line(f"no {name} in {context.queue().path}")
    return 1 if selection.unmatched or selection.is_nothing else 0
