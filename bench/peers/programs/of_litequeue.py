"""litequeue with a worker around pop and done, as its README shows.

``fill JOBS COMMAND``, ``put COMMAND``, ``work``.
"""

import os
import sys

import shelljob
from litequeue import LiteQueue


def main(verb: str, *words: str) -> None:
    """Do what the verb says; the worker ends when the queue is empty."""
    queue = LiteQueue(f"{os.environ['BENCH_FOLDER']}/litequeue.db")
    if verb == "fill":
        for _ in range(int(words[0])):
            queue.put("true")
    if verb != "work":
        queue.put(words[-1])
        return
    while (task := queue.pop()) is not None:
        shelljob.run(task.data)
        queue.done(task.message_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
