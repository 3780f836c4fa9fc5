"""``rqpy complete``: says that human steps are done."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rq_py.cli.changes import report, require_jobs
from rq_py.cli.context import Context
from rq_py.cli.joboptions import quiet_option
from rq_py.cli.output import chosen_fields, listing_options
from rq_py.cli.selectors import read_selection

_EXAMPLES = """\b
Examples:
  $ rqpy q complete 42 --note 'looks right'
  $ rqpy q query kind=human state=pending tag=nightly | rqpy q complete --fail -
"""


@click.command(epilog=_EXAMPLES)
@click.argument("selectors", nargs=-1, metavar="[JID|-]...")
@click.option("--fail", is_flag=True, help="They have failed: exit status 1, else it is 0.")
@click.option("--note", "text", metavar="TEXT", help="What is to be said about it; list prints it.")
@quiet_option
@listing_options
@click.pass_obj
def command(
    context: Context,
    *,
    selectors: Sequence[str],
    fail: bool,
    text: str | None,
    quiet: bool,
    output: str,
    fields: Sequence[str],
) -> int:
    """Say that human steps are done, and print them.

    A human step is a job that was submitted with --human: no feeder runs it, and it waits until somebody
    completes it, on whichever node. Jobs that are after it go on then. Who it was stands in completed_by.

    For -, and where no job is named, stdin names the jobs: a listing, of which the jids count, or one jid per
    line. The exit status is 1 when a job is named that is no human step, is not pending, or waits for its
    time or for others (the others are completed), and when what is named does not exist.
    """
    shown = chosen_fields(fields)
    selection = read_selection(selectors, implied_stdin=True)
    require_jobs(selection)
    queue = context.queue()
    edited = queue.complete(*selection.wanted, fail=fail, note=text, keep_rows=not quiet)
    return report(edited, selection, "completed", output, shown, quiet)
