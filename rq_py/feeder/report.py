"""What ``rqpy feeder`` shows: who feeds here, with how many slots, and what feeder and jobs use."""

from __future__ import annotations

import contextlib
import os

import psutil

from rq_py import claims
from rq_py.feeder import control
from rq_py.locking.owner import feeder_id
from rq_py.queue import Queue


def of_feeder(queue: Queue) -> dict[str, object]:
    """The feeder of ``queue`` on this node as a document: seconds of CPU, bytes of memory.

    Raises NoFeeder when there is none, and what a read of the queue raises.
    """
    who = control.the_feeder(queue.local_state)
    with queue.store.read() as tx:
        running = claims.running_of(tx, feeder_id(who.node, os.getuid()))
    document: dict[str, object] = {
        "pid": who.pid,
        "node": who.node,
        "since": who.since,
        "slots": who.slots,
        "running": [job.jid for job in running],
        "version": who.version,
        "log": who.log or "stderr",
        "feeder": _use([who.pid]),
        "jobs": _use([job.pid for job in running if job.pid]),
    }
    return document


def _use(roots: list[int]) -> dict[str, object]:
    """What these processes and their descendants use now; those that end meanwhile do not count."""
    processes: dict[int, psutil.Process] = {}
    for root in roots:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(root)
            processes |= {found.pid: found for found in (process, *process.children(recursive=True))}
    user = system = 0.0
    memory = 0
    for process in processes.values():
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            user, system = user + times.user, system + times.system
            memory += process.memory_info().rss
    return {"processes": len(processes), "user_cpu": user, "system_cpu": system, "rss": memory}
