"""One job a transaction: the worker beside which the feeder is measured on NFS.

    python bench/nfs/onebyone.py QUEUE WAITS

It is rq_py without its batches. Store, locks, records and fsyncs are the same, and so are the guarded
transitions and the script of each job, whose streams go into the queue. One process is one slot. A job's end
and the claim of the next one share a transaction: less than that, and an end would be lost or a job launched
before its claim is committed. There is no runner, no journal of it and no lease: it does less for each job
than a feeder, and what a kill would cost is not its concern.

It ends when nothing is pending, or at a TERM after the job that runs. The file WAITS then has, as JSON, the
seconds that each transaction waited for the queue lock.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from rq_py import Queue, claims, clock
from rq_py.claims import Outcome
from rq_py.feeder.script import Place, for_launch
from rq_py.job import Job
from rq_py.locking.owner import feeder_id, node_name
from rq_py.store.transaction import Transaction


class Worker:
    """One slot of its own: claims a job, runs it, and ends it with the next claim."""

    def __init__(self, queue: Queue) -> None:
        self.waits: list[float] = []
        self.is_told_to_end = False
        self._queue = queue
        self._node = node_name()
        self._journal = os.urandom(8).hex()
        settings = queue.settings
        self._shell = settings.shell
        self._place = Place(queue.dir, self._node, "", stream_umask=settings.umask, umask=0o022)

    def work(self) -> None:
        """Run jobs until nothing is pending, or until it is told to end."""
        sys.stdout.write("working\n")
        sys.stdout.flush()
        job = self._step(None)
        while job is not None:
            job = self._step(self._run(job))

    def _step(self, outcome: Outcome | None) -> Job | None:
        """The one transaction of a job: record how the last one ended, claim the next one."""
        store = self._queue.store
        before = store.lock_wait
        with store.write() as tx:
            if outcome is not None:
                claims.finish(tx, outcome)
            job = None if self.is_told_to_end else self._claim(tx)
        self.waits.append(store.lock_wait - before)
        return job

    def _claim(self, tx: Transaction) -> Job | None:
        jobs = claims.claim(
            tx,
            feeder=feeder_id(self._node, os.getuid()),
            node=self._node,
            pids=[os.getpid()],  # until the job's end tells the shell's own
            journal=self._journal,
            now=clock.utc_text(),
        )
        return jobs[0] if jobs else None

    def _run(self, job: Job) -> Outcome:
        """Run a job to its end, as the leader of its own session, with /dev/null as stdin."""
        begun = time.monotonic()
        pid = os.posix_spawnp(
            self._shell,
            [self._shell, "-c", for_launch(job, self._place)],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)],
            setsid=True,
        )
        _, status, usage = os.wait4(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return Outcome(
            job.jid,
            job.attempt,
            job.token,
            exit_status=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            finished=clock.utc_text(),
            elapsed=time.monotonic() - begun,
            user_cpu=usage.ru_utime,
            system_cpu=usage.ru_stime,
            max_rss=usage.ru_maxrss * 1024,
            pid=pid,
        )


def main() -> None:
    """Work, then leave the waits."""
    worker = Worker(Queue(sys.argv[1]))

    def end(_number: int, _frame: object) -> None:
        worker.is_told_to_end = True

    signal.signal(signal.SIGTERM, end)
    worker.work()
    Path(sys.argv[2]).write_text(json.dumps(worker.waits), encoding="ascii")


if __name__ == "__main__":
    main()
