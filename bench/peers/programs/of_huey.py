"""huey with SqliteHuey, as its guide shows it: ``fill JOBS COMMAND`` or ``put COMMAND``.

The worker is huey_consumer, which imports ``huey`` from here.
"""

import os
import sys

import shelljob
from huey import SqliteHuey

huey = SqliteHuey(filename=f"{os.environ['BENCH_FOLDER']}/huey.db")


@huey.task()
def run(command: str) -> None:
    """One job."""
    shelljob.run(command)


if __name__ == "__main__":
    from of_huey import run

    verb, *words = sys.argv[1:]
    if verb == "fill":
        for _ in range(int(words.pop(0))):
            run("true")
    run(words[0])
