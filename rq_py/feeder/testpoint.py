"""Named points at which a test can stop a feeder, to kill it there. Does nothing without RQ_TEST_PAUSE_AT.

``RQ_TEST_PAUSE_AT=<point>:<fifo>``: at that point the feeder opens the fifo, which waits for the test to
open it as well, writes the point's name into it, and stops itself as by ^Z. This is the only place that reads
the variable, and it is read once, when the feeder is loaded.
"""

from __future__ import annotations

import os
import signal

_POINT, _, _FIFO = os.environ.get("RQ_TEST_PAUSE_AT", "").partition(":")
_seen: set[str] = set()


def reached(point: str) -> None:
    """Stop here if a test asked for it, the first time."""
    if point != _POINT or point in _seen:
        return
    _seen.add(point)
    with open(_FIFO, "w", encoding="ascii") as fifo:
        fifo.write(point)
    os.kill(os.getpid(), signal.SIGSTOP)
