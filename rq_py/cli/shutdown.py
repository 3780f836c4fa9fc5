"""``rqpy shutdown``: tell the feeder of this node to finish its running jobs and then to end."""

from __future__ import annotations

from typing import Any

import click


@click.command(name="shutdown")
@click.option(
    "--wait", type=float, metavar="SECONDS", help="Wait until it has ended, at most so long; else exit 124."
)
@click.pass_obj
def command(obj: Any, /, wait: float | None) -> None:
    """Have this node's feeder take no more jobs, and end when its running ones have ended.

    The same as TERM to its pid. Where cron starts the feeder, take that line out first.
    """
    from rq_py.errors import WaitTimeout
    from rq_py.feeder import control

    who = control.request(obj.queue().local_state, "shutdown")
    if wait is not None and not control.wait_until_gone(who, wait):
        raise WaitTimeout(f"the feeder (pid {who.pid}) still has running jobs: see rqpy feeder")
