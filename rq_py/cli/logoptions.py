"""The options of a log: declared once for every mode, and for the modes that pass them on to a feeder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click

from rq_py.cli.printing import LEVELS


def verbosity(value: str) -> str:
    """Return the word of a verbosity that may be given as in rq, 0 to 4. Raises click.BadParameter."""
    text = value.lower()
    if text.isdecimal() and int(text) < len(LEVELS):
        return LEVELS[int(text)]
    if text not in LEVELS:
        raise click.BadParameter(f"{value!r} is none of 0..4 {' '.join(LEVELS)}")
    return text


def file_path(value: str) -> str:
    """Return ``value``, which must not be a directory. Raises click.BadParameter.

    Instead of click.Path, which looks for translations when it is made, and loads the module locale for it.
    """
    if os.path.isdir(value):
        raise click.BadParameter(f"{value!r} is a directory")
    return value


def size(value: str) -> int:
    """Return the bytes of a size with an optional k, M or G (of 1024). Raises click.BadParameter."""
    factor = {"k": 1024, "m": 1024**2, "g": 1024**3}.get(value[-1:].lower(), 1)
    digits = value[:-1] if factor > 1 else value
    if not digits.isdecimal():
        raise click.BadParameter(f"{value!r} is not a number of bytes such as 1000000 or 8M")
    return int(digits) * factor


#: By the name of the parameter: the words of the option, and what click is told of it.
LOG_OPTIONS: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]] = {
    "log": (
        ("--log", "-l"),
        {"type": file_path, "metavar": "FILE", "help": "Log into FILE."},
    ),
    "log_age": (
        ("--log-age",),
        {"type": click.Choice(["daily", "weekly", "monthly"]), "help": "Begin a new log this often."},
    ),
    "log_size": (
        ("--log-size",),
        {"type": size, "metavar": "BYTES", "help": "Begin a new log at this size: 8M."},
    ),
    "verbosity": (
        ("--verbosity", "-v"),
        {"type": verbosity, "metavar": "LEVEL", "help": "0..4: fatal error warn info debug. [3]"},
    ),
}
