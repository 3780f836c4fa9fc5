"""What is printed: data to stdout, one-line messages to stderr. Imports next to nothing: it costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from rq_py.errors import StorageError

#: How urgent a message is, the most urgent first: rq's verbosities 0 to 4.
LEVELS = ("fatal", "error", "warn", "info", "debug")


def stdout() -> TextIO:
    """Standard output. Raises StorageError where it is closed."""
    if sys.stdout is None:
        raise StorageError("standard output is closed, nothing can be written to it")
    return sys.stdout


def write(text: str) -> None:
    """Write data to stdout."""
    stdout().write(text)


def print_line(message: str, level: str = "error") -> None:
    """Say one line ``rqpy: ...`` to the user on stderr, whatever the message holds, and in the log."""
    MESSAGES.say(message, level)


def note(message: str, level: str = "info") -> None:
    """Note in the log what the mode does."""
    MESSAGES.note(message, level)


class Messages:
    """Which messages reach stderr, and the log, of this process.

    ``shown`` is the least urgent level that stderr gets. What a mode tells of its own work (``note``) is for
    the log: for stderr only where ``notes_shown`` names a level, else for ``log`` alone, where there is one.
    """

    def __init__(self) -> None:
        self.shown = "info"
        self.notes_shown: str | None = None
        self.log: Callable[[str, str], None] | None = None  #: takes level and message

    def say(self, message: str, level: str) -> None:
        """A message for the user."""
        if self.log is not None:
            self.log(level, message)
        if _is_urgent(level, self.shown):
            _print(message)

    def note(self, message: str, level: str) -> None:
        """A message for the log."""
        if self.log is not None:
            self.log(level, message)
        elif self.notes_shown is not None and _is_urgent(level, self.notes_shown):
            _print(message)


#: Those of this process, which has one stderr.
MESSAGES = Messages()


def _is_urgent(level: str, shown: str) -> bool:
    return LEVELS.index(level) <= LEVELS.index(shown)


def _print(message: str) -> None:
    """Write the line, made printable."""
    text = message.replace("\n", " ")
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    try:
        sys.stderr.write(f"rqpy: {line}\n")
    except (AttributeError, OSError, ValueError):
        return  # stderr is closed, or full: the exit status is all that is left to say
