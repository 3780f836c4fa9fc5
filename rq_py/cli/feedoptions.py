"""The options that ``feed``, ``start`` and ``restart`` share, and the value that they make of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from rq_py.cli.logoptions import LOG_OPTIONS

Command = TypeVar("Command", bound=Callable[..., Any])

# None everywhere: `restart` must tell what was given from what was not.
_OPTIONS = (
    click.option("--max-feed", "-f", type=int, metavar="N", help="Run N jobs at once. [default: CPUs]"),
    click.option(
        "--min-sleep", type=float, metavar="SECONDS", help="Poll an idle queue this often at first. [0.1]"
    ),
    click.option(
        "--max-sleep", type=float, metavar="SECONDS", help="Poll it this often when idle for long. [1]"
    ),
    click.option("--loops", type=int, metavar="N", help="End after looking N times, and the jobs of these."),
    click.option(
        "--until-empty",
        is_flag=True,
        default=None,
        help="End when no job is left that this node could run, and none runs here.",
    ),
    click.option(
        "--grace", type=float, metavar="SECONDS", help="From TERM to KILL when jobs are stopped. [10]"
    ),
    *(click.option(*words, **declared) for words, declared in LOG_OPTIONS.values()),
    click.option(
        "--allow-root", is_flag=True, default=None, help="As root, feed a queue that others can write."
    ),
)


def feed_options(command: Command) -> Command:
    """Decorate a command with the options of a feeder; they arrive as keywords for ``given``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given(values: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, ready for ``FeedOptions``: the rest keeps its default."""
    return {name: value for name, value in values.items() if value is not None}


def called_as() -> str:
    """How this program was called: from it follows what a job finds in ``RQ``."""
    return sys.argv[0]
