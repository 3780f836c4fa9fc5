"""A feeder and its runner under observation: that they stay as they were, whatever their jobs do."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rq_py import Job, Queue, State
from tests.feeder.census import Census, census_of, steady
from tests.feeder.conftest import FeederProcess, runner_pid
from tests.waiting import wait_until

#: Seconds in which a job has to end on a machine that has other things to do.
PATIENCE = 60.0


class Pair:
    """A feeder with ``slots`` slots that has run one job, its runner, and what the two had then."""

    def __init__(
        self, queue: Queue, feeder: FeederProcess, slots: int, environment: Mapping[str, str]
    ) -> None:
        self.queue = queue
        self.feeder = feeder
        self._environment = environment
        self._check_that_it_works()
        self.runner = runner_pid(queue, environment)
        # A ready shell for each slot, and one ahead (runner/shells.py).
        wait_until(lambda: census_of(self.runner).children == slots + 1, PATIENCE)
        self.before = self._look_again_and_again()

    def look(self) -> tuple[Census, Census]:
        """What runner and feeder have now."""
        return census_of(self.runner), census_of(self.feeder.process.pid)

    def _look_again_and_again(self) -> tuple[Census, Census]:
        """What the two have all the time: a single look may meet a file that is open for a moment."""
        looks = []
        for _ in range(20):
            looks.append(self.look())
            time.sleep(0.02)
        return steady(runner for runner, _ in looks), steady(feeder for _, feeder in looks)

    def run(self, command: str) -> Job:
        """Run a job to its end; how it ended."""
        return self.ended(self.queue.submit(command, cwd="/").jid)

    def ended(self, jid: int) -> Job:
        """Wait for the end of a job; how it ended."""
        wait_until(lambda: self.queue.job(jid).state is State.FINISHED, PATIENCE)
        return self.queue.job(jid)

    def is_unhurt(self) -> None:
        """The same two processes work, and have as many descriptors, children and threads as before."""
        self._check_that_it_works()
        assert self.feeder.process.poll() is None, self.feeder.log
        assert runner_pid(self.queue, self._environment) == self.runner
        try:
            wait_until(lambda: self.look() == self.before, PATIENCE)
        finally:
            now = self.look()
            assert now == self.before, f"{now} instead of {self.before}"

    def _check_that_it_works(self) -> None:
        job = self.run("echo out; echo err >&2; exit 5")
        assert (job.exit_status, job.signal, job.reason, job.attempt) == (5, None, None, 1)
        streams = [self.queue.stream(job.jid, name).read_text() for name in ("stdout", "stderr")]
        assert streams == ["out\n", "err\n"]
