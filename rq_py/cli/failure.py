"""Every failure as one line on stderr and an exit status."""

from __future__ import annotations

import os
import signal
import sys

from rq_py.cli.printing import print_line
from rq_py.errors import RqError

#: Set in the environment, it shows where an error comes from.
DEBUG_VARIABLE = "RQ_DEBUG"


def report(error: BaseException) -> int:
    """Say on stderr what failed, in one line, and return the exit status.

    A reader that closes the pipe is no failure; it is not mentioned.
    """
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, BrokenPipeError):
        _forget_stdout()
        return 0
    message, status = describe(error)
    if message:
        print_line(message, "fatal")
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        _forget_stdout()
    return status


def describe(error: BaseException) -> tuple[str, int]:
    """What to say of ``error`` ('' is nothing), and the exit status."""
    if isinstance(error, RqError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 128 + signal.SIGINT
    if isinstance(error, SystemExit):
        status = error.code
        return (status, 1) if isinstance(status, str) else ("", status or 0)
    if isinstance(error, OSError):
        return _of_system(error), 1
    if isinstance(error, MemoryError):
        return "out of memory", 1
    return _of_click(error) or (
        f"internal error: {type(error).__name__}: {error} (please report it; {DEBUG_VARIABLE}=1 shows where)",
        1,
    )


def _of_system(error: OSError) -> str:
    """An error of the operating system, with the path that it is about."""
    reason = error.strerror or str(error) or type(error).__name__
    paths = [os.fsdecode(path) for path in (error.filename, error.filename2) if isinstance(path, str | bytes)]
    return f"{' and '.join(paths)}: {reason}" if paths else reason


def _of_click(error: BaseException) -> tuple[str, int] | None:
    """What click raises, in our own words."""
    import click

    if isinstance(error, click.exceptions.Exit):
        return "", error.exit_code
    if isinstance(error, click.Abort):
        return "interrupted", 128 + signal.SIGINT
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    return None


def _forget_stdout() -> None:
    """Send what is still buffered to nowhere, so that Python's own flush at exit does not complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
