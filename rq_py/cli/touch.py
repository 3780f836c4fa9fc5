"""``rqpy touch``: changes the waiting job with this command and tag, or submits it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from rq_py.cli.changes import touch_changes
from rq_py.cli.commandwords import CommandTaking
from rq_py.cli.context import Context
from rq_py.cli.joboptions import job_options, quiet_option
from rq_py.cli.output import chosen_fields, listing_options, write_jobs
from rq_py.cli.printing import note
from rq_py.errors import UsageError
from rq_py.formats.jobspec import check_command

_EXAMPLES = """\b
Example:
  $ rqpy q touch --tag nightly --priority 5 make report
"""


@click.command(cls=CommandTaking, epilog=_EXAMPLES)
@click.argument("words", nargs=-1, required=True, metavar="[--] COMMAND...")
@job_options
@quiet_option
@listing_options
@click.pass_obj
def command(
    context: Context,
    /,
    *,
    words: Sequence[str],
    tag: str | None,
    quiet: bool,
    output: str,
    fields: Sequence[str],
    **values: Any,
) -> None:
    """Have a job with this command and tag wait in the queue, and print it.

    Where one is pending or holding, or several are, they are changed as the options say, and stay as they are
    otherwise; else the job is submitted. A job that runs or has ended does not count. Saying the same twice
    thus never makes two jobs that wait. Options stand before COMMAND, as for submit.
    """
    shown = chosen_fields(fields)
    text = " ".join(words)
    if text == "-":
        raise UsageError("touch reads no commands from stdin: give one command")
    check_command(text, "touch")
    edited = context.queue().touch(text, tag=tag or None, **touch_changes(**values))
    note(f"{edited.count} jobs were touched")
    if not quiet:
        write_jobs(edited, output, shown)
