"""Data on stdout: listings and small documents in the format that ``--output`` names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rq_py.cli.printing import stdout, write

if TYPE_CHECKING:
    from rq_py.job import Job

LISTING_FORMATS = ("yaml", "json", "jsonl", "table")
DOCUMENT_FORMATS = ("yaml", "json")

_Function = TypeVar("_Function", bound=Callable[..., Any])


def listing_options(function: _Function) -> _Function:
    """Add the options ``--output`` and ``--fields`` of a mode that prints jobs."""
    output = click.option(
        "--output",
        "-o",
        type=click.Choice(LISTING_FORMATS),
        default="yaml",
        help="How to print the jobs; yaml unless given.",
    )
    fields = click.option(
        "--fields",
        "-f",
        multiple=True,
        metavar="NAME,...",
        help="Print these fields only, also where they are not set.",
    )
    return output(fields(function))


def output_option(function: _Function) -> _Function:
    """Add the option ``--output`` of a mode that prints one document."""
    return click.option(
        "--output",
        "-o",
        type=click.Choice(DOCUMENT_FORMATS),
        default="yaml",
        help="How to print it; yaml unless given.",
    )(function)


def quiet_option(function: _Function) -> _Function:
    """Add the option ``--quiet`` of a mode that prints what it did: neither that nor messages then."""
    return click.option(
        "--quiet", "-q", is_flag=True, callback=_take_quiet, help="Print nothing but errors."
    )(function)


def _take_quiet(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.obj.quiet = value
    return value


def chosen_fields(names: Sequence[str]) -> tuple[str, ...] | None:
    """The fields that ``--fields`` names, None where it was not given. Raises UsageError."""
    if not names:
        return None
    from rq_py.formats.listing import chosen_fields as checked

    return checked(names)


def write_jobs(jobs: Iterable[Job], output: str, fields: Sequence[str] | None) -> int:
    """Write a listing to stdout and return the number of jobs."""
    home = "table" if output == "table" else "listing"
    writer = getattr(import_module(f"rq_py.formats.{home}"), f"write_{output}")
    count: int = writer(jobs, stdout(), fields)
    return count


def write_document(value: object, output: str = "yaml") -> None:
    """Write one document to stdout."""
    if output == "json":
        import json

        write(json.dumps(value, indent=2) + "\n")
    else:
        from rq_py.formats.yamldoc import dump

        write(dump(value))
