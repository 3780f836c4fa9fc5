"""``rqpy feed``: take jobs from the queue and run them."""

from __future__ import annotations

from typing import Any

import click

from rq_py.cli.feedoptions import called_as, feed_options, given


@click.command(name="feed")
@feed_options
@click.option("--daemon", "-d", "-D", is_flag=True, help="Feed in the background: see start.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing when a feeder runs already.")
@click.pass_obj
def command(obj: Any, /, daemon: bool, quiet: bool, **values: Any) -> None:
    """Take jobs from the queue, highest priority and oldest first, and run them on this node.

    In the foreground it logs to stderr. TERM and the first ^C drain: no more jobs are taken, the running
    ones are waited for. A second ^C stops them. One feeder per queue, node and user: a second one says who
    is feeding and ends with 1.
    """
    from rq_py.errors import FeederRunning
    from rq_py.feeder import program
    from rq_py.feeder.daemon import start
    from rq_py.feeder.options import FeedOptions
    from rq_py.feeder.session import feed

    queue = obj.queue()
    options = FeedOptions(
        queue=str(queue.path), program=program.find(called_as()), timeout=queue.store.timeout, **given(values)
    )
    try:
        if daemon:
            start(options)
        else:
            feed(options)
    except FeederRunning:
        if not quiet:
            raise
        raise SystemExit(FeederRunning.exit_code) from None
