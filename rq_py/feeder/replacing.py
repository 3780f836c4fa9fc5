"""Replaces a running feeder by a new one in the background, while the runner keeps the jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rq_py.errors import FeederError
from rq_py.feeder import control, daemon, single
from rq_py.feeder.options import FeedOptions
from rq_py.queue import Queue

#: Seconds that the old feeder may take to leave: one wait for a stuck queue lock, and then some.
LEAVE_SECONDS = 120.0


def restart(queue: Queue, program: str, changes: Mapping[str, Any]) -> int:
    """Replace the feeder of ``queue`` on this node, or start one; the new one's pid.

    The options are the old feeder's with ``changes``. Raises FeederError when the old one does not leave,
    and what ``daemon.start`` raises.
    """
    who = single.info(queue.local_state)
    if who is None:
        options = FeedOptions(queue=str(queue.path), program=program, **changes)
    else:
        options = replace(who.feed_options, queue=str(queue.path), program=program, **changes)
        control.request(queue.local_state, "replace")
        if not control.wait_until_gone(who, LEAVE_SECONDS):
            raise FeederError(f"the feeder (pid {who.pid}) does not leave: see its log {who.log}")
    return daemon.start(options)
