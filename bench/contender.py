"""One of many processes that use a queue: submits as fast as it can, or looks at it now and then.

    python bench/contender.py QUEUE SECONDS submit|look

Prints, as JSON, how long each of its transactions waited for the queue lock, in seconds.
"""

import json
import random
import sys
import time

from rq_py import Queue


def main() -> None:
    """Use the queue until the time is over."""
    queue, end, verb = Queue(sys.argv[1]), time.monotonic() + float(sys.argv[2]), sys.argv[3]
    waits = []
    while time.monotonic() < end:
        before = queue.store.lock_wait
        if verb == "submit":
            queue.submit("true", cwd="/")
        else:
            queue.recent(1)
            time.sleep(random.uniform(0.01, 0.03))  # noqa: S311  (no secret)
        waits.append(queue.store.lock_wait - before)
    sys.stdout.write(json.dumps(waits))


if __name__ == "__main__":
    main()
