"""A user's crontab: which of its lines are a queue's own, by the mark at their end; all others stay."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence

from rq_py.errors import RqError, UsageError
from rq_py.formats.excerpt import shown

#: Five fields of time, or a word such as @reboot: crontab(5).
_SCHEDULE = re.compile(r"@[a-z]+|[0-9A-Za-z*/,-]+( +[0-9A-Za-z*/,-]+){4}")


def checked_schedule(text: str) -> str:
    """Return the ``text`` of a schedule. Raises UsageError where cron would not understand it."""
    if not _SCHEDULE.fullmatch(text):
        raise UsageError(f"{shown(text)}: is no schedule of crontab, such as '*/15 * * * *' or @reboot")
    return text


def line(schedule: str, command: str, mark: str) -> str:
    """A line of a crontab, with its ``mark``, which the shell takes for a comment.

    Raises UsageError for a command of two lines.
    """
    if "\n" in command or "\r" in command:
        raise UsageError("a path with a newline cannot stand in a crontab")
    escaped = command.replace("%", r"\%")  # an unescaped one ends the command: crontab(5)
    return f"{schedule} {escaped} # {mark}"


class Crontab:
    """The crontab of the user who runs this, read by ``crontab -l``. Raises RqError."""

    def __init__(self, mark: str) -> None:
        self._mark = re.compile(rb".* # " + re.escape(os.fsencode(mark)) + rb"( [a-z]+)?")
        self._text = self._read()

    @property
    def own(self) -> list[str]:
        """The lines with the mark, which may have a word behind it."""
        return [os.fsdecode(line) for line in self._text.split(b"\n") if self._mark.fullmatch(line)]

    def set_own(self, lines: Sequence[str]) -> None:
        """Have these lines with the mark and no others; where they are there, nothing is written.

        Raises RqError.
        """
        if sorted(self.own) == sorted(lines):
            return
        others = [line for line in self._text.split(b"\n") if not self._mark.fullmatch(line)]
        text = b"\n".join(others)
        if lines and text and not text.endswith(b"\n"):
            text += b"\n"
        text += b"".join(os.fsencode(line) + b"\n" for line in lines)
        done = _crontab("-", text)
        if done.returncode:
            raise RqError(f"crontab did not take the new table: {_message(done)}")
        self._text = text

    @staticmethod
    def _read() -> bytes:
        done = _crontab("-l", b"")
        if done.returncode == 0:
            return done.stdout
        if b"no crontab for" in done.stderr.lower():
            return b""
        raise RqError(f"cannot read your crontab: {_message(done)}")


def _crontab(argument: str, text: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run crontab(1), in the language in which its message for an empty table is known."""
    try:
        return subprocess.run(
            ["crontab", argument],
            input=text,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError:
        raise RqError("there is no crontab program here: install cron, or use --systemd") from None
    except OSError as error:
        raise RqError(f"crontab: cannot be run: {error.strerror}") from error


def _message(done: subprocess.CompletedProcess[bytes]) -> str:
    """What crontab(1) said, in one line."""
    said = os.fsdecode(done.stderr).strip().splitlines()
    return said[-1] if said else f"it ended with {done.returncode}"
