"""rq_py itself, as a contestant like the others."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rq_py
from bench.case import CannotRun
from bench.lab import RQPY, SLOTS, node_name
from bench.leftovers import end_users_of
from bench.peers.peer import Client, Fifo, Peer, daemon, run
from bench.tools import Tools
from rq_py import JobSpec, Queue


@contextmanager
def queue_in(folder: Path, shell: str = "sh") -> Iterator[Queue]:
    """A queue whose runners and node-local state are gone after the block, on all nodes of this run."""
    queue = Queue.create(folder / "q", settings={"shell": shell, "login": "never"})
    try:
        yield queue
    finally:
        # All nodes' states lie side by side. A runner without a feeder ends by itself, but not at once.
        for local in queue.local_state.parent.glob(f"{node_name()}*-{queue.settings.uuid}"):
            end_users_of(str(local))
            shutil.rmtree(local, ignore_errors=True)


def feed_command(queue: Queue, *words: str, slots: int = SLOTS) -> list[str]:
    """The argv of a feeder in the foreground."""
    command = [sys.executable, "-m", "rq_py", str(queue.path), "feed", "--max-feed", str(slots)]
    return [*command, "--verbosity", "warn", "--allow-root", *words]


@contextmanager
def feeding(queue: Queue, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A feeder that is ready: it has run a first job."""
    with Fifo(folder / "ready") as ready, daemon(feed_command(queue), folder / "feeder.log") as feeder:
        queue.submit(ready.command, cwd="/")
        ready.wait(feeder)
        yield feeder


class RqPy(Peer):
    """A queue on this disk, and one feeder."""

    name = "rqpy"
    title = "rq_py"
    keeps = "SQLite database"

    def install(self, tools: Tools) -> str:
        """It is this checkout."""
        del tools
        return rq_py.__version__

    def drain(self, folder: Path, shell: str, jobs: int) -> float:
        """The feeder's own start and end are part of its time."""
        with queue_in(folder, shell) as queue:
            queue.submit_many(JobSpec("true", cwd="/") for _ in range(jobs))
            begin = time.monotonic()
            run(feed_command(queue, "--until-empty"))
            seconds = time.monotonic() - begin
            counts = queue.status()["exit_status"]
        if counts != {"successes": jobs, "failures": 0}:
            raise CannotRun(f"not all jobs ran well: {counts}")
        return seconds

    @contextmanager
    def accepting(self, folder: Path, *, workers: bool) -> Iterator[Client]:
        """One ``rqpy submit`` for each job."""
        with queue_in(folder) as queue:
            client = Client([*RQPY, str(queue.path), "submit", "--cwd", "/"])
            if workers:
                with feeding(queue, folder):
                    yield client
            else:
                yield client
