"""How many jobs of a queue each node has ended within its time, and whether all is as it should be.

    python bench/nfs/counting.py QUEUE <SPANS

SPANS is JSON: for each node the begin and the end of its time, in seconds since the epoch by its own clock.
Prints, as JSON, ``jobs`` (that each node has ended in its time), ``finished`` and ``pending`` (at any time),
``wrong`` (those that have failed, or are in another state), and ``elapsed``, the median job's seconds.
"""

from __future__ import annotations

import json
import statistics
import sys

from rq_py import Queue, clock
from rq_py.job import State


def main() -> None:
    """Count and print."""
    spans = json.load(sys.stdin)
    jobs = dict.fromkeys(spans, 0)
    pending = wrong = 0
    elapsed: list[float] = []
    for job in Queue(sys.argv[1]).jobs():
        if job.state is State.PENDING:
            pending += 1
        elif job.state is State.FINISHED and job.exit_status == 0:
            elapsed.append(job.elapsed or 0.0)
            begin, end = spans[job.runner]
            jobs[job.runner or ""] += begin <= clock.seconds_of(job.finished or "") < end
        else:
            wrong += 1
    counted: dict[str, object] = {"jobs": jobs, "finished": len(elapsed), "pending": pending, "wrong": wrong}
    counted["elapsed"] = statistics.median(elapsed) if elapsed else None
    sys.stdout.write(f"{json.dumps(counted)}\n")


if __name__ == "__main__":
    main()
