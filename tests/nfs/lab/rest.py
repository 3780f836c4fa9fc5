"""Run on a node: wait until no job of the queue is pending or running, asking every few seconds.

rest.py QUEUE LEAST: and until there are LEAST jobs at least. It is one process for all looks, because
starting Python is slow in a guest.
"""

from __future__ import annotations

import sys
import time

from rq_py import Queue, RqError

_INTERVAL = 4.0  # seconds


def main(path: str, least: int) -> None:
    """Wait, for ever: whoever started us has the deadline."""
    while True:
        try:
            jobs = Queue(path).status()["jobs"]
        except RqError as error:
            print(error, flush=True)
        else:
            assert isinstance(jobs, dict)
            print(*(f"{state}={count}" for state, count in jobs.items()), flush=True)
            if jobs["pending"] == jobs["running"] == 0 and jobs["total"] >= least:
                return
        time.sleep(_INTERVAL)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
