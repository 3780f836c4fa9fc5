"""``rqpy configure``: shows and changes the settings of a queue."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rq_py.cli.context import Context
from rq_py.cli.output import output_option, write_document
from rq_py.cli.printing import note
from rq_py.errors import UsageError
from rq_py.formats.excerpt import shown


@click.command(epilog="\b\nExample:\n  $ rqpy q configure shell=sh node_lease=300")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@output_option
@click.pass_obj
def command(context: Context, settings: Sequence[str], output: str) -> None:
    """Show the settings of the queue, after changing those that are given.

    These can be changed: shell, login (once, each or never: how jobs get your login environment), lock_lease
    and node_lease (seconds), retention and output_limit. A feeder that runs keeps the old values of all but
    the retention until its next start (rqpy q restart).

    With a retention, such as 90d (a number of s, m, h, d or w), the feeders delete jobs that ended longer
    ago, with their streams and data; none, as it is unless set, keeps them. They look for it at their start
    and once an hour.

    With an output_limit, such as 100M (bytes, K, M or G), a running job whose stdout and stderr together are
    longer is ended: TERM, and KILL after the feeder's grace. It is finished with the reason output_limit.
    """
    texts: dict[str, str] = {}
    for word in settings:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"{shown(word)}: is no KEY=VALUE")
        if key in texts:
            raise UsageError(f"{key}: is given twice")
        texts[key] = value
    changed = context.queue().configure(texts)
    if texts:
        note(f"set: {' '.join(settings)}")
    from rq_py.configuration import document

    write_document(document(changed), output)
