"""The signals that a feeder obeys, as something to wait on: a handler only wakes the loop.

The kernel's signal becomes a byte in a pipe (signal.set_wakeup_fd); what it means is decided in the loop,
where nothing is half done. TERM drains; so does HUP, which a terminal sends when it goes. The first INT (^C)
drains too, the second one stops.
"""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType

_OBEYED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """Takes the signals over until ``close``; to be made in the main thread."""

    def __init__(self, *, ignore_hangup: bool) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._interrupts = 0
        self._fd_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _nothing) for number in _OBEYED}
        if ignore_hangup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._reader

    def words(self) -> list[str]:
        """What the signals since the last call ask for, in ``control``'s words."""
        numbers = b""
        with contextlib.suppress(BlockingIOError):
            numbers = os.read(self._reader, 4096)
        words = []
        for number in numbers:
            if number == signal.SIGINT:
                self._interrupts += 1
                words.append("shutdown" if self._interrupts == 1 else "stop")
            elif number in _OBEYED:
                words.append("shutdown")
        return words

    def close(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        os.close(self._reader)
        os.close(self._writer)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Exist, so that the signal neither ends the process nor is ignored."""
