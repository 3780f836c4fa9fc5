"""``rqpy resubmit``: lets jobs that do not run be run again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import click

from rq_py.cli.changes import report, require_jobs, touch_changes
from rq_py.cli.context import Context
from rq_py.cli.joboptions import job_options, quiet_option
from rq_py.cli.output import chosen_fields, listing_options
from rq_py.cli.selectors import read_selection
from rq_py.errors import UsageError

if TYPE_CHECKING:
    from rq_py.editing.changes import Changes

_EXAMPLES = """\b
Examples:
  $ rqpy q resubmit 42 --stdin new.in
  $ rqpy q query exit_status!=0 | rqpy q resubmit -
"""


@click.command(epilog=_EXAMPLES)
@click.argument("selectors", nargs=-1, metavar="[STATE|JID|-]...")
@job_options
@quiet_option
@listing_options
@click.pass_obj
def command(
    context: Context,
    /,
    *,
    selectors: Sequence[str],
    tag: str | None,
    quiet: bool,
    output: str,
    fields: Sequence[str],
    **values: Any,
) -> int:
    """Let jobs that do not run be run again, and print them.

    A job keeps its jid, its stdin and data, and all that was asked for with it; options override that.
    What it wrote is there until it runs again. A state is pending, holding, finished, dead or all, or the
    beginning of one. For -, and where nothing is named, stdin names the jobs: a listing, of which the jids
    count, or one jid per line. The exit status is 1 when a running job is named, and when what is named
    does not exist.
    """
    shown = chosen_fields(fields)
    takes_stdin = values["stdin"] == "-"
    if takes_stdin and "-" in selectors:
        raise UsageError("stdin cannot be both the jobs and what they read")
    selection = read_selection(selectors, implied_stdin=not takes_stdin)
    require_jobs(selection)
    changes = cast("Changes", touch_changes(**values))
    if tag is not None:
        changes["tag"] = tag or None
    edited = context.queue().resubmit(*selection.wanted, keep_rows=not quiet, **changes)
    return report(edited, selection, "resubmitted", output, shown, quiet)
