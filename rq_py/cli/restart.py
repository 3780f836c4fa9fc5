"""``rqpy restart``: replace the feeder of this node while its jobs run on."""

from __future__ import annotations

from typing import Any

import click

from rq_py.cli.feedoptions import called_as, feed_options, given


@click.command(name="restart")
@feed_options
@click.option("--quiet", "-q", is_flag=True, help="Print nothing.")
@click.pass_obj
def command(obj: Any, /, quiet: bool, **values: Any) -> None:
    """Replace this node's feeder, in the background; its jobs run on and are taken over.

    The new one has the options of the old one, but for those that are given here. Without a feeder it is
    the same as start. After an upgrade of rqpy this is how a node gets it.
    """
    from rq_py.feeder import program, replacing
    from rq_py.formats import yamldoc

    queue = obj.queue()
    pid = replacing.restart(queue, program.find(called_as()), given(values))
    if not quiet:
        click.echo(yamldoc.dump({"pid": pid}), nl=False)
