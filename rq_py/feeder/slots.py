"""The jobs that this feeder has claimed, by where they are, and what it has the runner do with them.

A claimed job is in exactly one place: ``running`` (it was told to go, or waits for a slot with the runner),
``exits`` (it ended, and is not known to be in the database) or ``refused`` (it was not launched and is to be
released).
"""

from __future__ import annotations

import math
import signal
from collections.abc import Collection, Iterable, Mapping, Sequence

from rq_py.claims import Verdict
from rq_py.errors import ProtocolError, RunnerError, RunnerGone, StorageError
from rq_py.feeder import collecting, script
from rq_py.feeder.leftovers import key_of
from rq_py.feeder.log import LOG
from rq_py.feeder.pace import Backoff
from rq_py.job import Job
from rq_py.runner.client import Exit, Key, Launch, RunnerClient, Running, Shell
from rq_py.runner.identity import boottime
from rq_py.runner.shells import MAX_SHELLS


class Slots:
    """Up to ``count`` running jobs, and never more than a runner has shells.

    Every method that takes the runner may raise RunnerGone.
    """

    def __init__(self, count: int) -> None:
        self.count = min(count, MAX_SHELLS)
        if self.count < count:
            LOG.warning(
                "--max-feed %d: a runner has at most %d shells, so %d it is", count, MAX_SHELLS, MAX_SHELLS
            )
        self.running: dict[Key, bool] = {}  #: -> whether the job is restartable
        self.exits: dict[Key, Exit] = {}
        self.refused: set[Key] = set()
        self.begun: dict[
            Key, Running
        ] = {}  #: of those that run, the ones whose launch is not in the database
        self._waiting: set[Key] = (
            set()
        )  # of those that run, the ones that were not launched as far as is known
        self._moved_at = 0.0  # when any was launched or ended (CLOCK_BOOTTIME)
        self.launching = Backoff()  #: after a refusal: a pause before more jobs are claimed

    @property
    def free(self) -> int:
        """How many more jobs may run."""
        return 0 if self._waiting else max(self.count - len(self.running), 0)

    @property
    def waiting_count(self) -> int:
        """How many claimed jobs wait for a slot, as far as is known."""
        return len(self._waiting)

    def ahead(self, count: int) -> int:
        """How many jobs to claim beyond the free slots, so that ``count`` wait for a slot."""
        return max(count - len(self._waiting), 0)

    def waits_since(self) -> float:
        """Since when nothing was launched and nothing ended, though jobs wait; infinity where none does."""
        return self._moved_at if self._waiting else math.inf

    @property
    def has_work_for_the_database(self) -> bool:
        """Whether something must be recorded: an exit, or a job to be released."""
        return bool(self.exits or self.refused or self.begun)

    @property
    def is_empty(self) -> bool:
        """Whether no claimed job is left here in any place."""
        return not (self.running or self.exits or self.refused)

    def holds(self, key: Key) -> bool:
        """Whether this claim has a place here."""
        return key in self.running or key in self.exits or key in self.refused

    def adopt(self, running: Mapping[Key, Running]) -> None:
        """Begin anew with what was agreed upon with the runner."""
        self.running = {key: known.restartable for key, known in running.items()}
        self.exits, self.refused, self.begun, self._waiting = {}, set(), {}, set()

    def collect(self, runner: RunnerClient) -> None:
        """Take in the jobs that have ended, and what became of those that waited for a slot."""
        for ended in runner.take_exits():
            self._leave(ended.key)
            self.exits[ended.key] = ended
        for known in runner.take_begun():
            if known.key in self._waiting:
                self._waiting.discard(known.key)
                self.begun[known.key] = known
                self._moved_at = boottime()
                LOG.info(
                    "job %d: launched as pid %s, attempt %d", known.key.jid, known.pid, known.key.attempt
                )
        for key, why in runner.take_refused():
            if key in self._waiting:
                self._refuse(key, why)

    def withdraw(self, runner: RunnerClient) -> None:
        """Take back the jobs that wait for a slot; they are to be released."""
        if self._waiting:
            keys = runner.withdraw()  # what is not among them was launched just before, as we shall be told
            for key in keys:
                self._leave(key)
            self.refused |= set(keys)

    def _leave(self, key: Key) -> None:
        """It does not run, and does not wait."""
        self.running.pop(key, None)
        self.begun.pop(key, None)
        self._waiting.discard(key)
        self._moved_at = boottime()

    def _refuse(self, key: Key, why: str) -> None:
        """The runner will not launch it."""
        self._leave(key)
        self.refused.add(key)
        self._cannot_launch(f"job {key.jid}: {why}")

    def shells(self, runner: RunnerClient) -> list[Shell]:
        """As many ready shells as slots are free, or fewer."""
        try:
            return runner.ready(self.free)
        except (RunnerGone, ProtocolError):
            raise
        except RunnerError as error:
            self._cannot_launch(str(error))
            return []

    def launch(self, runner: RunnerClient, jobs: Sequence[Job], place: script.Place) -> None:
        """Have claimed jobs told to go, after their claim was committed; what is refused must be released."""
        if not jobs:
            return
        waiting = {key_of(job): job for job in jobs}
        result = runner.launch(
            [Launch(job.pid, key, job.restartable, _script(job, place)) for key, job in waiting.items()],
            self.count,
        )
        self._moved_at = boottime()
        for key in result.launched:
            job = waiting[key]
            self.running[key] = job.restartable
            LOG.info("job %d: launched as pid %s, attempt %d", job.jid, job.pid, job.attempt)
        for key in result.waiting:
            self.running[key] = waiting[key].restartable
            self._waiting.add(key)
        for key, why in result.failed:
            self._refuse(key, why)
        if not result.failed:
            self.launching.worked()

    def confirm(
        self, runner: RunnerClient, verdicts: Sequence[tuple[Exit, Verdict]], stopped: Collection[Key]
    ) -> None:
        """Have the runner forget the exits that the database has, or has refused for good."""
        for ended, verdict in verdicts:
            how = (
                f"signal {ended.signal}" if ended.exit_status is None else f"exit_status {ended.exit_status}"
            )
            if verdict is Verdict.LOST and ended.key not in stopped:
                LOG.warning("job %d: %s, but its claim was lost: refused", ended.key.jid, how)
                runner.kill(ended.key, signal.SIGKILL)  # what its shell may have left running
            else:
                LOG.info("job %d: %s after %.6f s", ended.key.jid, how, ended.elapsed)
        if verdicts:
            runner.confirm(ended.key for ended, _ in verdicts)
        for ended, _ in verdicts:
            self.exits.pop(ended.key, None)

    def forget_begun(self, keys: Iterable[Key]) -> None:
        """These launches are in the database."""
        for key in keys:
            self.begun.pop(key, None)

    def end_lost_runs(self, runner: RunnerClient, mine: Collection[Key]) -> None:
        """Kill the restartable jobs that run here but are not among the claims that the database has.

        A job that is not restartable runs on: its exit is still welcome (``node_lost``).
        """
        for key, restartable in self.running.items():
            if restartable and key not in mine:
                LOG.warning("job %d: its claim was lost, ending it", key.jid)
                runner.kill(key, signal.SIGKILL)

    def _cannot_launch(self, why: str) -> None:
        if not self.launching.failing:
            LOG.error("cannot launch: %s; trying again", why)
        self.launching.failed()


def _script(job: Job, place: script.Place) -> str:
    """The script of ``job``; what it is after is in a file then, where that has no room elsewhere."""
    if collecting.needs_file(job):
        try:
            collecting.write_list(job, place.queue, 0o666 & ~place.stream_umask)
        except StorageError as error:
            return script.refusal(job, place, str(error))
    return script.for_launch(job, place)
