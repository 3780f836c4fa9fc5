"""persist-queue's SQLiteAckQueue with workers around get and ack.

``fill JOBS COMMAND``, ``put COMMAND``, ``work N``.
Its get is not safe between processes, so the workers are N threads of one process.
"""

import os
import sys
import threading

import shelljob
from persistqueue import Empty, SQLiteAckQueue


def main(verb: str, *words: str) -> None:
    """Do what the verb says; the workers end when the queue is empty."""
    queue = SQLiteAckQueue(f"{os.environ['BENCH_FOLDER']}/persistqueue", multithreading=True)
    if verb == "fill":
        for _ in range(int(words[0])):
            queue.put("true")
    if verb != "work":
        queue.put(words[-1])
        return
    threads = [threading.Thread(target=work, args=(queue,)) for _ in range(int(words[0]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def work(queue: SQLiteAckQueue) -> None:
    """One worker."""
    while True:
        try:
            job = queue.get(block=False, raw=True)
        except Empty:
            return
        shelljob.run(job["data"])
        queue.ack(id=job["pqid"])


if __name__ == "__main__":
    main(*sys.argv[1:])
