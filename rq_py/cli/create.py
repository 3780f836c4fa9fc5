"""``rqpy QUEUE create``: makes a queue."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rq_py.cli.context import Context
from rq_py.cli.output import output_option, quiet_option, write_document
from rq_py.cli.printing import note
from rq_py.errors import UsageError


@click.command(epilog="\b\nExample:\n  $ rqpy /tmp/q create shell=sh")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--group", metavar="GROUP", help="Share it with this group, whose members submit and feed.")
@click.option("--public", is_flag=True, help="Let everybody read it.")
@quiet_option
@output_option
@click.pass_obj
def command(
    context: Context,
    /,
    *,
    settings: Sequence[str],
    group: str | None,
    public: bool,
    quiet: bool,
    output: str,
) -> None:
    """Make a queue: a directory that all nodes see, with a database in it.

    It is private to you unless you say otherwise. KEY=VALUE sets how it works: shell (bash), login (once,
    each or never: how jobs get your login environment), lock_lease and node_lease (seconds), retention (none,
    or such as 90d) and output_limit (none, or such as 100M): see configure.
    """
    from rq_py.queue import Queue

    texts = {}
    for word in settings:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"{word}: is no KEY=VALUE; the queue comes first: rqpy {word} create")
        texts[key] = value
    if context.named is None:
        raise UsageError("no queue is named: say rqpy QUEUE create")
    queue = Queue.create(context.queue_path, group=group, public=public, settings=texts)
    database = queue.dir.database_link
    document = {"q": str(queue.path), "db": str(database), "uuid": queue.settings.uuid}
    if queue.settings.access != "private":
        document["access"] = queue.settings.access
    if queue.settings.group:
        document["group"] = queue.settings.group
    note(f"{queue.path} was made")
    if not quiet:
        write_document(document, output)
