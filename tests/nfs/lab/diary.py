"""What happened in the lab and when: every fault, with the lab's time; a file, and lines on stderr."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path


class Diary:
    """Lines in order; ``faults`` counts the ones that a scenario did to break things."""

    def __init__(self, path: Path) -> None:
        self.faults = 0
        self._begun = time.monotonic()
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._turn = threading.Lock()

    def note(self, text: str) -> None:
        """Write down something that is no fault."""
        line = f"{time.monotonic() - self._begun:8.2f} {text}\n"
        with self._turn:
            self._file.write(line)
            sys.stderr.write(line)

    def fault(self, text: str) -> None:
        """Write down a fault, right before it is done."""
        self.faults += 1
        self.note(f"FAULT {text}")

    def close(self) -> None:
        """Nothing more will happen."""
        self._file.close()
