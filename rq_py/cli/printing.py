"""What is printed: data to stdout, one-line messages to stderr. Imports nothing, so that it costs nothing."""

from __future__ import annotations

import sys
from typing import TextIO

from rq_py.errors import StorageError


def stdout() -> TextIO:
    """Standard output. Raises StorageError where it is closed."""
    if sys.stdout is None:
        raise StorageError("standard output is closed, nothing can be written to it")
    return sys.stdout


def write(text: str) -> None:
    """Write data to stdout."""
    stdout().write(text)


def print_line(message: str) -> None:
    """Write one line ``rqpy: ...`` to stderr, whatever the message holds."""
    text = message.replace("\n", " ")
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    try:
        sys.stderr.write(f"rqpy: {line}\n")
    except (AttributeError, OSError, ValueError):
        return  # stderr is closed, or full: the exit status is all that is left to say
