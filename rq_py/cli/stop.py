"""``rqpy stop``: end the feeder of this node and its running jobs now."""

from __future__ import annotations

from typing import Any

import click


@click.command(name="stop")
@click.option("--grace", type=float, metavar="SECONDS", help="From TERM to KILL. [default: the feeder's, 10]")
@click.pass_obj
def command(obj: Any, /, grace: float | None) -> None:
    """End this node's feeder and all its running jobs, and return when they are gone.

    Each job's whole tree of processes gets TERM, and KILL after the grace. The jobs become dead with the
    reason stopped; restartable ones become pending and run again elsewhere.
    """
    from rq_py.errors import FeederError
    from rq_py.feeder import control

    word = "stop" if grace is None else f"stop {control.checked_grace(grace):g}"
    who = control.request(obj.queue().local_state, word)
    patience = control.stop_patience(who, grace)
    if not control.wait_until_gone(who, patience):
        raise FeederError(
            f"the feeder (pid {who.pid}) is not gone after {patience:g} s: see its log {who.log}"
        )
