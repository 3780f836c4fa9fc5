"""``rqpy help``: an overview of the modes, or one of them explained."""

from __future__ import annotations

import click

from rq_py.cli.modes import GROUPS, mode_named
from rq_py.cli.printing import write
from rq_py.errors import UsageError
from rq_py.formats.excerpt import shown

_BEGINNING = """\
rqpy turns a shared directory into a compute cluster: a queue of jobs in a directory, and a feeder
on every node that runs them.

Usage: rqpy [QUEUE] MODE [ARGUMENTS] [OPTIONS]

QUEUE is the queue's directory. It may also come from --queue or from RQ_Q; without any, it is your
own default queue.
"""

_END = """
rqpy help MODE explains a mode. Data goes to stdout as YAML, all else to stderr.

Example:
  $ rqpy /tmp/q create
  $ rqpy /tmp/q submit echo hello
  $ rqpy /tmp/q feed --until-empty
  $ rqpy /tmp/q stdout 1
"""


@click.command(epilog="\b\nExample:\n  $ rqpy help submit")
@click.argument("mode", required=False)
@click.pass_context
def command(ctx: click.Context, mode: str | None) -> None:
    """Explain a mode; without one, print an overview of all."""
    if mode is None:
        write(overview())
        return
    name = mode_named(mode)
    group = ctx.parent.command if ctx.parent else None
    if name is None or not isinstance(group, click.Group):
        raise UsageError(f"{shown(mode)}: no such mode, see: rqpy help")
    explained = group.get_command(ctx, name)
    assert explained is not None  # noqa: S101 - every name in the table has its command
    with click.Context(explained, info_name=name, parent=ctx.parent) as context:
        write(explained.get_help(context) + "\n")


def overview() -> str:
    """The overview: usage, and every mode in one line."""
    lines = [_BEGINNING]
    for heading, modes in GROUPS.items():
        lines.append(f"\n{heading}:\n")
        for name, mode in modes.items():
            names = " ".join((name, *mode.abbreviations))
            lines.append(f"  {names:<15} {mode.summary}\n")
    return "".join((*lines, _END))
