"""``rqpy execute``: runs SQL on the database."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from rq_py.cli.context import Context
from rq_py.cli.giventext import given_text
from rq_py.cli.output import write_document
from rq_py.cli.printing import stdout
from rq_py.errors import RqError, UsageError

_EXAMPLES = """\b
Examples:
  $ rqpy q execute 'select tag, count(*) as jobs from jobs group by tag'
  $ rqpy q execute --yes "update jobs set priority = 1 where tag = 'slow'"

The schema is that of Q/db.
"""


@click.command(epilog=_EXAMPLES)
@click.argument("sql", nargs=-1, metavar="[SQL...|-]")
@click.option("--yes", "-y", is_flag=True, help="Change rows without asking.")
@click.pass_obj
def command(context: Context, sql: Sequence[str], yes: bool) -> None:
    """Run SQL, for those who know it. Without words, or for -, it is read from stdin.

    Several statements end with ; each. They run in one transaction: all of them or none. Rows are printed as
    a YAML list of mappings, the number of changed rows as a mapping, one document for each statement.

    Statements that change rows of jobs are run with --yes, or when you say so at the terminal; the schema,
    the other tables, a jid, and values that no job can have are refused. Nothing keeps you from changing a
    running job, whose outcome is then lost. It may take a minute.
    """
    text = given_text(sql, "SQL")
    results = context.queue().execute(text, confirm=None if yes else _confirm)
    for result in results:
        if result.rows is not None:
            from rq_py.formats.sqlrows import write_rows

            write_rows(result.columns, result.rows, stdout())
        else:
            write_document({"changed": result.changed or 0})


def _confirm() -> None:
    """Ask at the terminal. Raises UsageError where there is none, RqError when the answer is no."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("this changes rows, and there is no terminal to ask at: say --yes")
    if not click.confirm("rqpy: this changes rows: go on?", err=True):
        raise RqError("nothing was changed")
