"""``rqpy status``: counts jobs, their ages, times and exit statuses."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from rq_py.cli.context import Context
from rq_py.cli.output import output_option, write_document
from rq_py.errors import UsageError
from rq_py.formats.excerpt import shown

_GROUP = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=([0-9]{1,3}(?:,[0-9]{1,3})*)")
_TAKEN = ("successes", "failures")


@click.command(epilog="\b\nExample:\n  $ rqpy q status --exit 'ok=42,43 not_found=127'")
@click.option(
    "--exit",
    "exit_maps",
    multiple=True,
    metavar="'NAME=N,... ...'",
    help="Count jobs that ended with one of these exit statuses under a name of your own.",
)
@output_option
@click.pass_obj
def command(context: Context, exit_maps: Sequence[str], output: str) -> None:
    """Count the queue's jobs by state, with the youngest and oldest of each, and how they ended.

    Successes have exit status 0; failures have another, were ended by a signal, or are dead. --exit adds
    counts to these and changes neither.
    """
    exit_map = parse_exit_maps(exit_maps)
    write_document(context.queue().status(exit_map), output)


def parse_exit_maps(texts: Sequence[str]) -> dict[str, list[int]]:
    """The names and exit statuses in the values of ``--exit``. Raises UsageError."""
    exit_map: dict[str, list[int]] = {}
    for word in " ".join(texts).split():
        match = _GROUP.fullmatch(word)
        if match is None:
            raise UsageError(f"--exit {shown(word)}: is not NAME=N or NAME=N,M as in ok=42,43")
        name, numbers = match[1], [int(number) for number in match[2].split(",")]
        if name in _TAKEN:
            raise UsageError(f"--exit {name}: has its own meaning, choose another name")
        if max(numbers) > 255:
            raise UsageError(f"--exit {shown(word)}: an exit status is a number from 0 to 255")
        exit_map.setdefault(name, []).extend(numbers)
    return exit_map
