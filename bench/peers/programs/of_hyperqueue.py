"""HyperQueue through its Python API: ``of_hyperqueue.py JOBS COMMAND``.

The package on PyPI brings server and worker as a library, which run in the process that asks for them; there
is no ``hq`` program in it. It says ready when all tasks are submitted, and starts its worker when it gets a
line.
"""

import os
import sys

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig


def main(jobs: str, last: str) -> None:
    """One job with a task for each shell command, output to files; ends with its stdin."""
    folder, shell = os.environ["BENCH_FOLDER"], os.environ["BENCH_SHELL"]
    job = Job(default_workdir=folder, max_fails=None)
    for command in (*["true"] * int(jobs), last):
        job.program([shell, "-c", command])
    os.mkdir(f"{folder}/server")
    with LocalCluster(f"{folder}/server") as cluster:
        cluster.client().submit(job)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        cluster.start_worker(WorkerConfig(cores=int(os.environ["BENCH_SLOTS"])))
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
