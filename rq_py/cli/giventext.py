"""A text that a mode is given in words, or on stdin."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rq_py.cli.printing import print_line
from rq_py.errors import InputError, UsageError

#: The longest text that is read, in bytes.
MAX_BYTES = 4 * 1024 * 1024


def given_text(words: Sequence[str], what: str) -> str:
    """The words joined by spaces; what stdin holds when there is none, or ``-`` alone.

    ``what`` says in messages what is read. Raises UsageError, InputError.
    """
    if list(words) not in ([], ["-"]):
        if "-" in words:
            raise UsageError(f"give {what} in words, or - for stdin, not both")
        text = " ".join(words)
    else:
        if sys.stdin is None:
            raise UsageError(f"stdin is closed: give {what} in words")
        if sys.stdin.isatty():
            print_line(f"reading {what} from the terminal; end with Ctrl-D", "info")
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"stdin: is longer than {MAX_BYTES} bytes, which {what} cannot be")
        text = content.decode("utf-8", "surrogateescape")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{what}: is not valid UTF-8") from None
    return text
