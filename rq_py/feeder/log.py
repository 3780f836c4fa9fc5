"""The log of a feeder or of another mode: lines on stderr, or in a file that rotates by size or by age.

A log must never be the end of a feeder: what cannot be written is lost, and the feeder goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
from datetime import UTC, datetime
from logging.handlers import BaseRotatingHandler
from pathlib import Path

from rq_py.errors import StorageError

#: The one logger of a process.
LOG = logging.getLogger("rq_py.feeder")

#: How many rotated logs are kept, ``feeder.log.1`` being the youngest.
KEPT = 7

_LEVELS = {
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
_PERIODS = {"daily": "%Y-%m-%d", "weekly": "%G-%V", "monthly": "%Y-%m"}


def set_up(path: str, *, age: str = "", size: int = 0, verbosity: str = "info") -> None:
    """Send the log to the file ``path``, or to stderr where it is ''.

    The file is rotated when it would pass ``size`` bytes (0: never) and when a new day, week or month
    begins (``age``: daily, weekly or monthly, UTC; '': never). Raises StorageError when it cannot be opened.
    """
    handler: logging.Handler
    if path:
        try:
            handler = RotatingLog(path, age=age, size=size)
        except OSError as error:
            raise StorageError(f"{path}: cannot write the log: {error.strerror}") from error
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    logging.raiseExceptions = False
    for old in LOG.handlers[:]:
        LOG.removeHandler(old)
        old.close()
    LOG.addHandler(handler)
    LOG.propagate = False
    LOG.setLevel(_LEVELS[verbosity])


def write(level: str, text: str) -> None:
    """Log ``text`` with one of the levels that ``set_up`` takes as a verbosity."""
    LOG.log(_LEVELS[level], "%s", text)


class _Line(logging.Formatter):
    """``2026-11-20 15:06:49.514387Z INFO  text``, always one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of ``record``."""
        when = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")
        text = record.getMessage().replace("\n", "\\n")
        if record.exc_info:
            text += "\\n" + self.formatException(record.exc_info).replace("\n", "\\n")
        return f"{when} {record.levelname.lower():<8} {text}"


class RotatingLog(BaseRotatingHandler):
    """A log file that gives way to a new one by size in bytes or by age; raises OSError on opening."""

    def __init__(self, path: str, *, age: str, size: int) -> None:
        self._period_format = _PERIODS.get(age, "")
        self._size = size
        # Before the file is opened: its last change tells to which period the lines in it belong,
        # also when a feeder that is started once a day has written them.
        self._period = self._period_of_file(Path(path))
        super().__init__(path, "a", encoding="utf-8", errors="backslashreplace")
        # --log /dev/null must not rename the device.
        self._is_regular = stat.S_ISREG(os.stat(path).st_mode)

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802  (logging's name)
        """Whether ``record`` belongs into a new file."""
        if not self._is_regular:
            return False
        if self._period_format and self._now() != self._period:
            return True
        if not self._size:
            return False
        length = len(self.format(record).encode("utf-8", "backslashreplace")) + 1
        with contextlib.suppress(OSError):
            written = os.stat(self.baseFilename).st_size
            return written > 0 and written + length > self._size
        return False

    def doRollover(self) -> None:  # noqa: N802  (logging's name)
        """Shift log.1 to log.2 and so on, the log to log.1, and begin a new one."""
        self.close()
        for number in range(KEPT - 1, 0, -1):
            with contextlib.suppress(OSError):
                os.replace(f"{self.baseFilename}.{number}", f"{self.baseFilename}.{number + 1}")
        with contextlib.suppress(OSError):
            os.replace(self.baseFilename, f"{self.baseFilename}.1")
        self._period = self._now()

    def close(self) -> None:
        """Close the file; what could not be written is lost."""
        with contextlib.suppress(OSError):
            super().close()

    def _now(self) -> str:
        return datetime.now(UTC).strftime(self._period_format)

    def _period_of_file(self, path: Path) -> str:
        try:
            changed = path.stat().st_mtime
        except OSError:
            return self._now()
        return datetime.fromtimestamp(changed, UTC).strftime(self._period_format)
