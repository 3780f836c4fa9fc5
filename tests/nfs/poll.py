"""Run on a node: ask for the queue's status all the time, so that this client has everything cached.

poll.py QUEUE: a line for each answer that is not one (the kind of the error, and what it says), and a line
``polled N`` every ten answers. Until it is killed.
"""

from __future__ import annotations

import sys
import time

from rq_py import Queue, RqError

_INTERVAL = 0.2  # seconds


def main(path: str) -> None:
    """Poll, for ever."""
    answers = 0
    while True:
        try:
            Queue(path).status()
        except RqError as error:
            print(type(error).__name__, error, flush=True)
        answers += 1
        if answers % 10 == 0:
            print("polled", answers, flush=True)
        time.sleep(_INTERVAL)


if __name__ == "__main__":
    main(sys.argv[1])
