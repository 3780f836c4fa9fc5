"""``rqpy feeder``: print what the feeder of this node is and does."""

from __future__ import annotations

from typing import Any

import click


@click.command(name="feeder")
@click.pass_obj
def command(obj: Any, /) -> None:
    """Print who feeds this queue on this node, since when, and what it uses; without one, exit with 1."""
    from rq_py.feeder import report
    from rq_py.formats import yamldoc

    click.echo(yamldoc.dump(report.of_feeder(obj.queue())), nl=False)
