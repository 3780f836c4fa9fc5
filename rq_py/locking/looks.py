"""Looks: how a watcher finds out, by its own clock alone, that an owner has stopped.

The owner changes its record in place. The watcher looks at it through fresh opens, which NFS answers
from the server (nfs(5), close-to-open), and counts the time since the last change on its own
CLOCK_BOOTTIME (clock_gettime(2)), which goes on through a suspend. Times of two hosts are never compared.
"""

from __future__ import annotations

import os
from pathlib import Path

from rq_py.runner.identity import boottime

#: A look counts only if it took less than this, seconds: else the server, not the owner, was slow.
LONGEST_LOOK = 1.0
#: ... and came less than this after the one before, seconds: else nobody was watching meanwhile.
LONGEST_GAP = 5.0


class Watch:
    """Watches the record at ``path``; call ``look`` at least every LONGEST_GAP seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: bytes | None = None  #: what the last look saw; None when there was no file
        self._since: float | None = None
        self._last: float | None = None

    def look(self) -> None:
        """Take one look. A failed look proves nothing: counting starts anew with the next."""
        begun = boottime()
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                content: bytes | None = os.read(descriptor, 4096)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            content = None
        except OSError:
            self._since = self._last = None
            return
        ended = boottime()
        counts = ended - begun < LONGEST_LOOK and (self._last is None or begun - self._last < LONGEST_GAP)
        if self._since is None or content != self.content or not counts:
            # Not `begun`: the owner may have changed it as late as now.
            self._since = ended
        self.content, self._last = content, ended

    @property
    def unchanged_seconds(self) -> float:
        """For how long looks that count have seen the same content; 0 before the second look."""
        if self._since is None or self._last is None:
            return 0.0
        return self._last - self._since

    @property
    def is_gone(self) -> bool:
        """Whether the last look found no file."""
        return self._last is not None and self.content is None
