"""``rqpy start``: start a feeder in the background."""

from __future__ import annotations

from typing import Any

import click

from rq_py.cli.feedoptions import called_as, feed_options, given


@click.command(name="start")
@feed_options
@click.option("--quiet", "-q", is_flag=True, help="Print nothing, also when a feeder runs already.")
@click.pass_obj
def command(obj: Any, /, quiet: bool, **values: Any) -> None:
    """Start a feeder in the background, and return when it is up. Prints its pid.

    It logs into the node-local state unless --log says otherwise (rqpy feeder tells where). For a feeder
    that is always there, have cron run ``rqpy QUEUE start --quiet`` every minute: a second one ends at once.
    """
    from rq_py.errors import FeederRunning
    from rq_py.feeder import daemon, program
    from rq_py.feeder.options import FeedOptions
    from rq_py.formats import yamldoc

    queue = obj.queue()
    options = FeedOptions(
        queue=str(queue.path), program=program.find(called_as()), timeout=queue.store.timeout, **given(values)
    )
    try:
        pid = daemon.start(options)
    except FeederRunning:
        if not quiet:
            raise
        raise SystemExit(FeederRunning.exit_code) from None
    if not quiet:
        click.echo(yamldoc.dump({"pid": pid}), nl=False)
