"""The options that ``feed``, ``start`` and ``restart`` share, and the value that they make of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_VERBOSITIES = ("fatal", "error", "warn", "info", "debug")


def verbosity(value: str) -> str:
    """Return the word of a verbosity that may be given as in rq, 0 to 4. Raises click.BadParameter."""
    text = value.lower()
    if text.isdecimal() and int(text) < len(_VERBOSITIES):
        return _VERBOSITIES[int(text)]
    if text not in _VERBOSITIES:
        raise click.BadParameter(f"{value!r} is none of 0..4 {' '.join(_VERBOSITIES)}")
    return text


def size(value: str) -> int:
    """Return the bytes of a size with an optional k, M or G (of 1024). Raises click.BadParameter."""
    factor = {"k": 1024, "m": 1024**2, "g": 1024**3}.get(value[-1:].lower(), 1)
    digits = value[:-1] if factor > 1 else value
    if not digits.isdecimal():
        raise click.BadParameter(f"{value!r} is not a number of bytes such as 1000000 or 8M")
    return int(digits) * factor


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
    click.option("--log", "-l", type=click.Path(dir_okay=False), metavar="FILE", help="Log into FILE."),
    click.option(
        "--log-age", type=click.Choice(["daily", "weekly", "monthly"]), help="Begin a new log this often."
    ),
    click.option("--log-size", type=size, metavar="BYTES", help="Begin a new log at this size: 8M."),
    click.option(
        "--verbosity", "-v", type=verbosity, metavar="LEVEL", help="0..4: fatal error warn info debug. [3]"
    ),
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
