"""python-rq: ``fill JOBS COMMAND``; the worker and ``rq enqueue`` are programs of its own.

The Redis server is the one of RQ_REDIS_URL.
"""

import os
import sys

import shelljob
from redis import Redis
from rq import Queue

if __name__ == "__main__":
    _, jobs, command = sys.argv[1:]
    queue = Queue(connection=Redis.from_url(os.environ["RQ_REDIS_URL"]))
    for _ in range(int(jobs)):
        queue.enqueue(shelljob.run, "true")
    queue.enqueue(shelljob.run, command)
