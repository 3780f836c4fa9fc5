"""``rqpy pid``: print the pid of the feeder of this node."""

from __future__ import annotations

from typing import Any

import click


@click.command(name="pid")
@click.pass_obj
def command(obj: Any, /) -> None:
    """Print the pid of this user's feeder for this queue on this node; without one, exit with 1."""
    from rq_py.feeder import control
    from rq_py.formats import yamldoc

    who = control.the_feeder(obj.queue().local_state)
    click.echo(yamldoc.dump({"pid": who.pid}), nl=False)
