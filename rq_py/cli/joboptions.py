"""The options that say what jobs are to be: submit takes them for new ones, touch and resubmit for others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from rq_py.errors import UsageError

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--priority", "-p", type=int, help="Run before jobs of a lower priority; new jobs have 0."),
    click.option("--tag", "-t", help="A word of your own to find the jobs by; empty for none."),
    click.option(
        "--key",
        metavar="KEY",
        help="Only one job with this key waits or runs: another submit prints that one; empty for none.",
    ),
    click.option("--runner", metavar="NODE", help="The only node that may run them; empty for any."),
    click.option(
        "--restartable/--no-restartable", default=None, help="Run again when the node dies meanwhile, or not."
    ),
    click.option("--stage", is_flag=True, help="Make them holding: nothing runs them till they are pending."),
    click.option(
        "--stdin",
        "-s",
        metavar="FILE|-",
        help="What each job reads from its stdin; - is this one's, empty is nothing.",
    ),
    click.option("--data", metavar="PATH", help="A file or directory to copy into the queue for each job."),
    click.option(
        "--not-before",
        metavar="TIME|+DURATION",
        help="Do not run them before: 2026-11-20 15:06Z (UTC unless it says otherwise), +30m, +1h30m, +2d.",
    ),
    click.option(
        "--expires",
        metavar="TIME|+DURATION",
        help="Bury what was not claimed until then: dead, with the reason expired.",
    ),
    click.option(
        "--job-timeout",
        metavar="DURATION",
        help="End what runs longer: TERM, and KILL after the feeder's grace; reason timeout.",
    ),
    click.option("--retries", type=int, metavar="N", help="Run what fails again, up to N times."),
    click.option(
        "--backoff",
        metavar="DURATION",
        help="The pause before the first retry, doubled for each further one; none unless given.",
    ),
    click.option(
        "--after",
        multiple=True,
        metavar="JID[:ok|failed|any]",
        help="Run them when this job has ended so (ok unless given), dead if it never will; repeatable.",
    ),
    click.option(
        "--collect/--no-collect",
        default=None,
        help="Let their stdin be what the jobs that they are after have written to stdout, or not.",
    ),
    click.option("--cwd", metavar="DIR", help="Where they start; new jobs in the current directory."),
    click.option("--env", multiple=True, metavar="NAME[=VALUE]", help="A variable to hand over; repeatable."),
    click.option(
        "--env-all", is_flag=True, help="Hand over the whole environment; who reads the queue can see it."
    ),
)  # fmt: skip


def job_options(function: _Function) -> _Function:
    """Add the options that say what jobs are to be."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def quiet_option(function: _Function) -> _Function:
    """Add the option ``--quiet`` of a mode that prints the jobs that it is about."""
    return click.option("--quiet", "-q", is_flag=True, help="Do not print the jobs.")(function)


def stdin_source(text: str | None) -> BinaryIO | Path | None:
    """What ``--stdin`` names: ``-`` is this process's own, '' and None are none. Raises UsageError."""
    if text == "-":
        if sys.stdin is None:
            raise UsageError("stdin is closed, so it cannot be what the jobs read")
        return sys.stdin.buffer
    return Path(text) if text else None
