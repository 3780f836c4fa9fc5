"""The feeder's loop: collect exits, get shells, one transaction, launch. Start and end are session.py's.

There is one thread and one place to wait. Everything that happens (an exit, a submit on this node, a commit
elsewhere, a signal, a word of ``rqpy stop``) only ends the wait; what is to be done is decided after it.
"""

from __future__ import annotations

import selectors

from rq_py import claims, clock
from rq_py.claims import Verdict
from rq_py.errors import LockTimeout, OutcomeUnknown, RunnerError, StorageError
from rq_py.feeder import testpoint
from rq_py.feeder.ahead import Ahead
from rq_py.feeder.due import Due
from rq_py.feeder.ending import Ending, Mode
from rq_py.feeder.leftovers import key_of
from rq_py.feeder.limits import Limits
from rq_py.feeder.log import LOG
from rq_py.feeder.pace import LOCK_WAIT, Backoff, Idle, Round
from rq_py.feeder.reconcile import outcome_of
from rq_py.feeder.retention import Retention
from rq_py.feeder.session import Session
from rq_py.feeder.slots import Slots
from rq_py.job import Job, Reason
from rq_py.runner.client import Exit, Key, Shell
from rq_py.runner.identity import boottime
from rq_py.store.transaction import Transaction

#: Seconds between two ticks at most: what no wake-up told is found then.
FULL_TICK = 30.0


class Feeder:
    """A feeder at work between its start and its end; ``session`` holds what the start has opened."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._options = session.options
        self._store = session.queue.store
        self._slots = Slots(self._options.max_feed)
        self._ahead = Ahead(self._slots.count)
        self._ending = Ending(self._options.grace, session.queue.path)
        self._doubtful = False  # the last COMMIT may or may not have happened
        self._woken = True  # there may be jobs to claim
        self._found_all = False  # the last tick claimed all that there was for this node
        self._mark: object = None  # of the database, from before the last tick
        self._ticks = 0
        self._idle = Idle(self._options.min_sleep, self._options.max_sleep)
        self._full_tick = Round(FULL_TICK)
        # Shorter than LONGEST_GAP of the looks: a stuck holder's lease goes on being counted from try to try.
        self._storage = Backoff(longest=2.0)
        self._attaching = Backoff(first=0.2)
        self._retention = Retention(session.queue, session.feeder)
        self._limits = Limits(session.queue, self._options.grace)
        self._due = Due()
        self._settling = Backoff(first=0.1, longest=FULL_TICK)  # until the runner has told all that it knows
        self._begin_anew()

    def run(self) -> Mode:
        """Work until the end and say which one it was.

        Raises QueueError when the queue can no longer be used (a newer rqpy took it over, it is gone):
        the jobs run on, and the runner keeps their exits.
        """
        while not self._is_over():
            try:
                if self._session.keep_leases():  # first: nothing is claimed under a lease that ran out
                    self._full_tick.at = 0.0
                if self._session.is_attached or self._reattach():
                    self._collect()
                    self._withdraw_where_due()
                    self._tick_where_due()
                    self._slots.exits |= self._ending.pursue(self._session.runner, self._slots.running)
                    self._limits.enforce(self._session.runner, self._slots.running)
                if self._is_untroubled:
                    self._retention.delete_some()
                if self._session.is_attached:
                    # The answers to the requests above may have brought exits along: nothing would end the
                    # wait for those.
                    self._collect()
            except RunnerError as error:
                LOG.warning("%s", error)
                self._attaching.failed()
                self._session.detach()
            if not self._is_over():
                self._wait()
            self._obey()
        return self._ending.mode

    # --- one tick: section 8 of the design ---------------------------------------------------------------

    def _tick(self) -> None:
        """Finish what ended and claim for all free slots in one transaction; then, and only then, launch."""
        looks_around = self._full_tick.due
        exits, refused, begun = (
            list(self._slots.exits.values()),
            set(self._slots.refused),
            dict(self._slots.begun),
        )
        shells = self._slots.shells(self._session.runner) if self._wants_jobs() else []
        ahead = self._slots.ahead(self._ahead.count) if self._may_claim() else 0
        started = boottime()
        mark = self._store.mark()  # from before the transaction: whatever others commit later is noticed
        with self._store.write(timeout=LOCK_WAIT) as tx:
            verdicts = self._record(tx, exits)
            for key in refused:
                claims.release(tx, key.jid, key.attempt, key.token)
            for key, known in begun.items():
                claims.begin(tx, key.jid, key.attempt, key.token, pid=known.pid)
            looked = self._due.look(tx)  # before the claim: what has expired is not claimed any more
            jobs = self._claim(tx, shells, ahead)
            mine = claims.running_of(tx, self._session.feeder) if looks_around else []
            others = claims.feeders_with_running(tx) if looks_around else []
            testpoint.reached("recorded" if exits else "claimed")
        # Leaving the block has committed, and has seen that the generation still lives.
        testpoint.reached("committed")
        self._slots.refused -= refused
        self._slots.forget_begun(begun)
        self._launch(jobs)
        testpoint.reached("launched")
        self._slots.confirm(self._session.runner, verdicts, self._ending.stopped)
        self._due.done(looked)
        self._ahead.ticked([ended.elapsed for ended in exits], boottime() - started)
        self._plan_next(mark, offered=len(shells) + ahead, claimed=len(jobs), has_recorded=bool(exits))
        if looks_around:
            self._full_tick.done()
            self._session.leases.watch(others)
            self._slots.end_lost_runs(self._session.runner, {key_of(job) for job in mine})

    def _collect(self) -> None:
        self._slots.collect(self._session.runner)
        self._ending.hold(self._slots.exits)

    def _withdraw_where_due(self) -> None:
        """Give back what was claimed ahead when it will not be launched, or not soon."""
        is_late = boottime() >= self._ahead.withdraw_at(self._slots.waits_since())
        if is_late:
            self._ahead.begin_anew()
        if is_late or self._ending.mode is not Mode.FEEDING:
            self._slots.withdraw(self._session.runner)

    def _claim(self, tx: Transaction, shells: list[Shell], ahead: int) -> list[Job]:
        session, pids = self._session, [shell.pid for shell in shells]
        return claims.claim(
            tx,
            feeder=session.feeder,
            node=session.node,
            pids=pids,
            journal=session.journal,
            now=clock.utc_text(),
            ahead=ahead,
        )

    def _launch(self, jobs: list[Job]) -> None:
        self._slots.launch(self._session.runner, jobs, self._session.place)
        self._limits.expect(jobs)

    def _record(self, tx: Transaction, exits: list[Exit]) -> list[tuple[Exit, Verdict]]:
        """Write into the database how jobs ended; a second time this changes nothing, and says so."""
        stopped = [ended for ended in exits if ended.key in self._ending.stopped]
        others = [ended for ended in exits if ended.key not in self._ending.stopped]
        verdicts = claims.finish_all(tx, [outcome_of(ended) for ended in others])
        now = clock.utc_text()
        for key in (ended.key for ended in stopped):
            verdicts.append(claims.bury(tx, key.jid, key.attempt, key.token, reason=Reason.STOPPED, now=now))
        return list(zip([*others, *stopped], verdicts, strict=True))

    def _settle(self) -> None:
        """After a COMMIT of unknown outcome: ask the database what is true, and go on from there."""
        exits = list(self._slots.exits.values())
        with self._store.write(timeout=LOCK_WAIT) as tx:
            verdicts = self._record(tx, exits)
            mine = {key_of(job): job for job in claims.running_of(tx, self._session.feeder)}
        self._doubtful = False
        self._slots.confirm(self._session.runner, verdicts, self._ending.stopped)
        self._slots.refused &= mine.keys()
        claimed = {key: job for key, job in mine.items() if self._was_claimed_in_doubt(key)}
        LOG.info(
            "the outcome is known: %d jobs were claimed, %d exits are recorded", len(claimed), len(exits)
        )
        if self._ending.mode is Mode.FEEDING:
            # Their shells were left alone; the runner refuses a job whose shell is not ready any more.
            self._launch(list(claimed.values()))
        else:
            self._slots.refused |= claimed.keys()

    def _was_claimed_in_doubt(self, key: Key) -> bool:
        # Claims by another journal are not of this feeder's life: only a reconciliation may judge them, and
        # what it left open. A stopped job may have no place in the slots while its tree is being ended.
        return (
            not self._slots.holds(key)
            and not self._ending.has_reached(key)
            and key not in self._session.unsettled
            and key.token.startswith(f"{self._session.journal}.")
        )

    # --- when a tick is due ------------------------------------------------------------------------------

    def _tick_where_due(self) -> None:
        if self._storage.waiting:
            return
        try:
            if self._must_agree:
                self._agree()
            if self._doubtful:
                self._settle()
            if self._tick_is_due():
                self._tick()
        except (StorageError, LockTimeout) as error:
            # Nothing is lost: exits stay here and with the runner, claims are in the database or are not.
            self._doubtful = self._doubtful or isinstance(error, OutcomeUnknown)
            if not self._storage.failing:
                LOG.warning("%s; %d jobs run on, trying again", error, len(self._slots.running))
            self._storage.failed()

    @property
    def _must_agree(self) -> bool:
        """Whether to judge anew what the last reconciliation left open; not during a stop's grace."""
        if not self._session.unsettled or self._ending.lingering:
            return False
        return self._full_tick.due or (self._settling.failing and not self._settling.waiting)

    def _tick_is_due(self) -> bool:
        if self._full_tick.due or self._due.has_come or self._storage.failing:
            return True
        if self._slots.has_work_for_the_database:
            return boottime() >= self._record_at
        if not self._wants_jobs():
            return False
        if not self._woken and boottime() >= self._idle.at:
            self._woken = self._store.mark() != self._mark
            self._idle.quiet()
        return self._woken

    @property
    def _record_at(self) -> float:
        """When to record what has ended: at once, unless enough waits to keep the slots busy meanwhile."""
        return 0.0 if self._slots.refused else self._ahead.record_at(self._slots.waiting_count)

    def _wants_jobs(self) -> bool:
        return self._may_claim() and self._slots.free > 0

    def _may_claim(self) -> bool:
        return self._ending.mode is Mode.FEEDING and not self._slots.launching.waiting

    def _plan_next(self, mark: object, *, offered: int, claimed: int, has_recorded: bool) -> None:
        """After a tick: decide what the next one waits for."""
        if self._storage.failing:
            LOG.info("the queue can be used again")
        self._storage.worked()
        self._attaching.worked()
        self._mark = mark
        self._found_all = claimed < offered and not self._due.has_come
        if self._found_all and not claimed:
            self._slots.launching.worked()  # there are shells again, and nothing to prove more with
        # A job for each shell, but fewer shells than slots: there may be more jobs.
        self._woken = (0 < offered == claimed and self._slots.free > 0) or self._slots.launching.failing
        if claimed or has_recorded:  # else others are busy: a commit of theirs is no reason to poll often
            self._idle.busy()
        self._ticks += 1
        if self._ticks == self._options.loops:
            self._hear("shutdown")

    # --- waiting and obeying -----------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait for whatever comes first; the one place where this process sleeps."""
        times = [self._session.leases.at, self._ending.give_up_at]
        if self._is_untroubled:
            times.append(self._retention.at)
        if not self._session.is_attached:
            times.append(self._attaching.until)
        elif self._storage.failing:
            times += [self._ending.at, self._storage.until, self._limits.at]
        else:
            times += [self._ending.at, self._full_tick.at, self._limits.at, self._due.at]
            times.append(self._ahead.withdraw_at(self._slots.waits_since()))
            if self._settling.failing and not self._ending.lingering:
                times.append(self._settling.until)
            if self._doubtful:
                times.append(0.0)
            elif self._slots.has_work_for_the_database:
                times.append(self._record_at)
            elif self._ending.mode is Mode.FEEDING and self._slots.free:
                times.append(max(0.0 if self._woken else self._idle.at, self._slots.launching.until))
        with selectors.PollSelector() as selector:
            for source in self._session.sources():
                selector.register(source, selectors.EVENT_READ)
            selector.select(max(min(times) - boottime(), 0.0))

    def _obey(self) -> None:
        for name in self._session.signals.words():
            self._hear(name)
        for word in self._session.ear.words():
            self._hear(word.name, word.grace)

    def _hear(self, word: str, grace: float | None = None) -> None:
        if word == "wake":
            self._woken = True
            self._idle.busy()
        else:
            self._ending.hear(word, grace, len(self._slots.running))

    @property
    def _is_untroubled(self) -> bool:
        """Whether there is time for what is not about running jobs."""
        return self._ending.mode is Mode.FEEDING and not self._storage.failing

    def _is_over(self) -> bool:
        if self._ending.mode is Mode.LEAVING or self._ending.has_given_up:
            return True
        if self._doubtful or self._settling.failing or self._ending.lingering or not self._slots.is_empty:
            return False
        return self._ending.mode is not Mode.FEEDING or (self._options.until_empty and self._found_all)

    # --- when the runner died ----------------------------------------------------------------------------

    def _reattach(self) -> bool:
        """Start a new runner and agree with it about every job; False while that does not work."""
        if self._attaching.waiting:
            return False
        try:
            self._session.attach()
            self._agree()
        except (RunnerError, StorageError, LockTimeout) as error:
            LOG.error("cannot go on with a new runner: %s; trying again", error)
            self._attaching.failed()
            self._session.detach()
            return False
        return True

    def _agree(self) -> None:
        """Bring database and runner into agreement and begin anew with the result."""
        self._session.agree(self._slots.exits | self._ending.lingering, self._ending.stopped)
        self._ending.forget_lingering()
        self._begin_anew()
        self._doubtful, self._woken = False, True

    def _begin_anew(self) -> None:
        """Take over what was agreed upon; if the runner has more to tell, it is asked again soon."""
        self._slots.adopt(self._session.running)
        self._limits.adopt(self._session.running, self._session.timeouts)
        if self._session.undecided:
            self._settling.failed()
        else:
            self._settling.worked()
