"""``rqpy tail``: follows what jobs write."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rq_py.cli.context import Context
from rq_py.cli.printing import print_line, stdout
from rq_py.cli.streams import jids_named


@click.command(epilog="\b\nExample:\n  $ rqpy q tail 1")
@click.argument("jids", nargs=-1, metavar="[JID|-]...")
@click.option("--stderr", "-e", "with_stderr", is_flag=True, help="Follow their stderr as well.")
@click.pass_obj
def command(context: Context, jids: Sequence[str], with_stderr: bool) -> int:
    """Print what jobs write, from its beginning and as they write it, until all of them have ended.

    A job that has not started is waited for, also one that is holding. Of several jobs whole lines are
    printed, each behind its jid. Jobs may also come from stdin, for - or without any JID: a listing in YAML,
    or a jid on each line. The exit status is 1 where a job does not exist.
    """
    from rq_py.cli.following import Following

    named = jids_named(jids)
    queue = context.queue()
    missing: list[int] = []

    def gone(jid: int) -> None:
        print_line(f"{queue.path}: has no job {jid}")
        missing.append(jid)

    names = ("stdout", "stderr") if with_stderr else ("stdout",)
    Following(queue, named, names, stdout().buffer, gone).run()
    return 1 if missing else 0
