"""``rqpy wait``: waits until jobs have ended, and ends as they did."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rq_py.cli.context import Context
from rq_py.cli.joboptions import quiet_option
from rq_py.cli.output import chosen_fields, listing_options
from rq_py.cli.printing import print_line
from rq_py.cli.selectors import read_selection

_EXAMPLES = """\b
Examples:
  $ rqpy q wait 1 2 --timeout 10
  $ rqpy q query tag=nightly | rqpy q wait -
"""


@click.command(epilog=_EXAMPLES)
@click.argument("selectors", nargs=-1, metavar="[STATE|JID|-]...")
@click.option(
    "--timeout",
    "patience",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to wait (exit status 124 then), also for the queue lock (75); for ever unless given.",
)
@quiet_option
@listing_options
@click.pass_obj
def command(
    context: Context,
    *,
    selectors: Sequence[str],
    patience: float | None,
    quiet: bool,
    output: str,
    fields: Sequence[str],
) -> int:
    """Wait until jobs have ended, and print each as it ends.

    Without names, these are all that have not ended. A state is pending, holding, running, finished, dead or
    all, or the beginning of one; the jobs that are in it now are meant. For -, stdin names jobs too: a
    listing, of which the jids count, or one jid per line.

    The exit status is 0 when all have succeeded. Else it is the exit status of the first of them that has
    not, 128 and the signal that killed it, or 1 for one that is dead, was deleted, or does not exist.
    """
    from rq_py.cli.awaiting import Awaited

    shown = chosen_fields(fields)
    selection = read_selection(selectors)
    if selection.is_nothing:
        print_line("stdin names no jobs")
        return 1
    context.timeout = patience
    awaited = Awaited(context.queue(), selection.wanted, quiet=quiet)
    return awaited.run(patience, output, shown)
