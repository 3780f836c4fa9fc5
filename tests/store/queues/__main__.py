"""Writes ``format-<N>.tar``: a small queue of the present schema, N, with a job in every state."""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path

from rq_py import JobSpec, Queue
from rq_py.claims import Outcome, bury, claim, finish
from rq_py.job import Reason
from rq_py.store.database import SCHEMA_VERSION

FOLDER = Path(__file__).resolve().parent


def make(queue: Queue) -> None:
    """Fill ``queue``: jobs 1 pending, 2 holding, 3 running, 4 finished, 5 dead, 6 ended by a signal."""
    queue.submit("echo 'later' | cat", priority=-1, tag="später", runner="elsewhere", cwd="/", env={"X": "1"})
    queue.submit("true", stage=True, stdin=b"input\n", data=FOLDER / "__init__.py", cwd="/")
    queue.submit_many([JobSpec("sleep 1"), JobSpec("true"), JobSpec("false"), JobSpec("kill -9 $$")])
    now = "2026-11-20 15:06:49.514387Z"
    with queue.store.write() as tx:
        jobs = claim(
            tx, feeder="old.0", node="old", pids=[11, 12, 13, 14], journal="0123456789abcdef", now=now
        )
        for job, exit_status, signum in ((jobs[1], 0, None), (jobs[3], None, 9)):
            finish(
                tx,
                Outcome(job.jid, job.attempt, job.token, exit_status, signum, now, 0.25, 0.1, 0.05, 1 << 20),
            )
        bury(tx, jobs[2].jid, jobs[2].attempt, jobs[2].token, reason=Reason.NODE_LOST, now=now)


def main() -> None:
    """Make the archive."""
    os.environ["RQ_NODE"] = "old"
    with tempfile.TemporaryDirectory() as folder:
        queue = Queue.create(Path(folder) / f"format-{SCHEMA_VERSION}")
        make(queue)
        with tarfile.open(FOLDER / f"format-{SCHEMA_VERSION}.tar", "w") as archive:
            archive.add(queue.path, arcname=queue.path.name, filter=_nobodys)


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the name of who made it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()
