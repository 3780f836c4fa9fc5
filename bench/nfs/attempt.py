"""What a try for the queue lock costs while another node has it.

python bench/nfs/attempt.py hold QUEUE     has the lock until a TERM, and says so
python bench/nfs/attempt.py try QUEUE      prints the median of many tries, in seconds
"""

from __future__ import annotations

import fcntl
import os
import signal
import statistics
import sys
import time

from rq_py import Queue

_TRIES = 50


def hold(queue: Queue) -> None:
    """Have the lock until a TERM comes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with queue.store.hold(writing=False):
        sys.stdout.write("the lock is held\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGTERM})


def measure(queue: Queue) -> float:
    """The seconds of a try that is refused. Ends the program where one is not."""
    descriptor = os.open(queue.store.generations.current().lock, os.O_RDWR | os.O_CLOEXEC)
    seconds = []
    for _ in range(_TRIES):
        begun = time.perf_counter()
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            seconds.append(time.perf_counter() - begun)
        else:
            sys.exit(f"{queue.path}: nobody held the lock")
    return statistics.median(seconds)


def main() -> None:
    """Do what the command line says."""
    verb, path = sys.argv[1:]
    if verb == "hold":
        hold(Queue(path))
    else:
        sys.stdout.write(f"{measure(Queue(path))}\n")


if __name__ == "__main__":
    main()
