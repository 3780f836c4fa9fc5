"""``rqpy query``: shows the jobs that meet conditions."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rq_py.cli.context import Context
from rq_py.cli.giventext import given_text
from rq_py.cli.output import chosen_fields, listing_options, write_jobs

_EXAMPLES = """\b
Examples:
  $ rqpy q query tag=important priority=6
  $ rqpy q query "started >= '2026-11-20 22:51' and state = 'dead'"
  $ rqpy q query exit_status!=0 | rqpy q resubmit -
"""


@click.command(epilog=_EXAMPLES)
@click.argument("condition", nargs=-1, metavar="[CONDITION...|-]")
@click.option(
    "--quiet", "-q", is_flag=True, help="Print nothing; the exit status says whether a job matched."
)
@listing_options
@click.pass_obj
def command(
    context: Context, condition: Sequence[str], quiet: bool, output: str, fields: Sequence[str]
) -> int:
    """Show the jobs that meet a condition, as list does. The exit status is 1 when none does.

    A simple condition is KEY=VALUE, KEY!=VALUE, KEY=~PATTERN or KEY!~PATTERN, without spaces or quotes; of
    several, all must be met. KEY is a field of a listing. In a PATTERN % stands for any text and _ for any
    character, in either case.

    KEY= holds where the field is not set. KEY!=VALUE and KEY!~PATTERN hold wherever KEY=VALUE and
    KEY=~PATTERN do not, so also where the field is not set; but of what only the end of a job sets
    (exit_status, signal, reason, finished, elapsed ...) they hold for no job that has not ended. So
    exit_status!=0 finds all that failed: with another exit status, by a signal, or dead.

    Anything else is an SQL condition on these fields, in which texts stand in single quotes and times are
    texts in UTC. Without words, or for -, the condition is read from stdin. It can only read, whatever is
    written in it, and it may take a minute.
    """
    shown = chosen_fields(fields)
    text = given_text(condition, "a condition")
    jobs = context.queue().query(text, limit=1 if quiet else None)
    count = sum(1 for _ in jobs) if quiet else write_jobs(jobs, output, shown)
    return 0 if count else 1
