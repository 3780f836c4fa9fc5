"""``rqpy delete``: deletes jobs with their streams and data."""

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
  $ rqpy q delete finished
  $ rqpy q query tag=nightly | rqpy q delete -
"""


@click.command(epilog=_EXAMPLES)
@click.argument("selectors", nargs=-1, metavar="[STATE|JID|-]...")
@quiet_option
@listing_options
@click.pass_obj
def command(
    context: Context, selectors: Sequence[str], quiet: bool, output: str, fields: Sequence[str]
) -> int:
    """Delete jobs that do not run, with their streams and data, and print what they were.

    A state is pending, holding, finished, dead or all, or the beginning of one. For -, and where nothing is
    named, stdin names the jobs: a listing, of which the jids count, or one jid per line. All are deleted at
    once; their files are removed after that. A running job is never deleted: the exit status is 1 when one
    is named, and when what is named does not exist.
    """
    shown = chosen_fields(fields)
    selection = read_selection(selectors, implied_stdin=True)
    require_jobs(selection)
    edited = context.queue().delete(*selection.wanted, keep_rows=not quiet)
    return report(edited, selection, "deleted", output, shown, quiet)
