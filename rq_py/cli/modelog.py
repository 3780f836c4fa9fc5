"""What --quiet, --log and --verbosity do: which messages are shown, and the log of what a mode does.

Without --log that goes to stderr, with the verbosity that is asked for. A feeder has its own log.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rq_py.cli.printing import LEVELS, MESSAGES, note

if TYPE_CHECKING:
    from rq_py.cli.context import Context


def logged(context: Context, run: Callable[[], int]) -> int:
    """Set the messages up as the options say, ``run`` the mode, and log how it went; returns its exit status.

    Raises StorageError when the log cannot be opened, and whatever the mode raises.
    """
    _set_up(context)
    note(f"{context.mode} begins: {context.queue_path}", "debug")
    begun = time.monotonic()
    status = run()
    seconds = time.monotonic() - begun
    note(
        f"{context.mode} ends with {status} after {seconds:.3f} s: {context.queue_path}, "
        f"{context.lock_wait:.3f} s waiting for its lock"
    )
    return status


def _set_up(context: Context) -> None:
    """Say to ``MESSAGES`` what is shown, and open the log."""
    options = context.log_options
    verbosity = options.get("verbosity", "info")
    if "log" in options:
        MESSAGES.log = _open(context.mode, options["log"], options, verbosity)
    elif "verbosity" in options:
        MESSAGES.shown = MESSAGES.notes_shown = verbosity
    if context.quiet:
        MESSAGES.shown = min(MESSAGES.shown, "error", key=LEVELS.index)
        MESSAGES.notes_shown = None


def _open(mode: str, path: str, options: Mapping[str, Any], verbosity: str) -> Callable[[str, str], None]:
    """Open the log file; returns what writes a line of a level into it, behind the mode and the pid."""
    from rq_py.feeder import log
    from rq_py.feeder.options import DEFAULT_LOG_SIZE

    age = options.get("log_age", "")
    size = options.get("log_size", 0) or (0 if age else DEFAULT_LOG_SIZE)
    log.set_up(path, age=age, size=size, verbosity=verbosity)
    name = f"{mode}[{os.getpid()}]"
    return lambda level, message: log.write(level, f"{name}: {message}")
