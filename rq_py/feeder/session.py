"""A feeder from its first check to its last word: opens, in order, all that the loop works with."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

import rq_py
from rq_py import claims, clock, writers
from rq_py.errors import FeederError, LockTimeout, QueueError, RunnerError, RunnerGone, StorageError
from rq_py.feeder import environment, log, namesake, single, testpoint
from rq_py.feeder.control import Ear
from rq_py.feeder.ending import Mode
from rq_py.feeder.leases import RENEWALS, Leases
from rq_py.feeder.leftovers import key_of
from rq_py.feeder.log import LOG
from rq_py.feeder.options import DEFAULT_LOG_SIZE, FeedOptions
from rq_py.feeder.reconcile import reconcile
from rq_py.feeder.script import Place
from rq_py.feeder.signals import Signals
from rq_py.feeder.single import FeederInfo, Single
from rq_py.localstate import LocalState
from rq_py.locking import mounts
from rq_py.locking.owner import feeder_id, node_name
from rq_py.queue import Queue
from rq_py.queuedir import QueueDir
from rq_py.runner.client import Exit, Key, RunnerClient, Running

#: Seconds that the last look at the database may take at a feeder's end.
LAST_LOOK = 10.0


def feed(options: FeedOptions, when_up: Callable[[FeederInfo], None] | None = None) -> None:
    """Feed until the end that ``options`` or somebody's word sets; ``when_up`` is called once all is open.

    Raises FeederRunning when another process of this user feeds here, UnsafeMount, QueueError, LockTimeout,
    StorageError, RunnerError.
    """
    from rq_py.feeder.loop import Feeder

    with contextlib.ExitStack() as stack:
        session = Session(options, stack)
        if when_up is not None:
            when_up(session.info)
        LOG.info("feeding %s with %d slots as pid %d", options.queue, options.max_feed, os.getpid())
        try:
            mode = Feeder(session).run()
        except QueueError:
            LOG.warning("leaving, jobs run on")
            raise
        session.finish(mode)


class HasFileno(Protocol):
    """What a selector can wait on."""

    def fileno(self) -> int:
        """The descriptor."""
        ...


class Session:
    """What a running feeder has open; ``stack`` closes it in reverse order. Raises as ``feed`` does."""

    def __init__(self, options: FeedOptions, stack: contextlib.ExitStack) -> None:
        self.options = options
        self.queue = Queue(options.queue, timeout=options.timeout)
        self.queue.store.check_writable()
        mounts.check(self.queue.path)
        if not options.allow_root:
            _refuse_root(self.queue.dir)
        self.node = node_name()
        self.feeder = feeder_id(self.node, os.getuid())
        self.running: dict[Key, Running] = {}
        self.timeouts: dict[Key, float] = {}  #: of those that have one, seconds
        self.unsettled: set[Key] = set()
        self.undecided: set[Key] = set()  #: of those, the ones of which the runner has more to tell
        self.journal = ""  #: the id of the runner's journal, part of each claim's token
        self._runner: RunnerClient | None = None

        state = stack.enter_context(LocalState(self.queue.local_state))
        self._state = state
        one = Single(state.path, options.queue)
        stack.callback(one.close)
        log_path = _set_up_log(options, state.path)
        self.queue.store.notify = LOG.warning
        self.signals = Signals(ignore_hangup=options.background)
        stack.callback(self.signals.close)
        self.ear = Ear(state)
        stack.callback(self.ear.close)
        self.info = single.this_process(
            options, node=self.node, since=clock.utc_text(), version=rq_py.__version__, log=log_path
        )
        one.tell(self.info)

        _check_shell(self.queue)
        jobs = environment.for_jobs(self.queue.settings.shell, self.queue.settings.login)
        if jobs.warning:
            LOG.warning("%s", jobs.warning)
        self._environment = jobs
        self.place = Place(
            queue=self.queue.dir,
            node=self.node,
            program=options.program,
            stream_umask=self.queue.settings.umask,
            umask=jobs.umask,
        )
        self.leases = Leases(self.queue, self.feeder)
        stack.callback(self.detach)
        self._meet_runner(one.killed)
        self.leases.begin()
        testpoint.reached("agreed")
        with contextlib.suppress(RunnerGone):  # the loop finds out as well
            self.leases.introduce(self.runner)
        self._tidy()

    def _meet_runner(self, killed: FeederInfo | None) -> None:
        """Attach and agree; once more should the runner be killed meanwhile. Raises as these do."""
        for is_last in (False, True):
            try:
                self.attach()
                testpoint.reached("attached")
                self._refuse_namesake(killed)
                self.agree({})
            except RunnerGone:
                if is_last:
                    raise
            else:
                return

    def _refuse_namesake(self, killed: FeederInfo | None) -> None:
        """Before anything is buried: no other machine may feed under this name. Raises FeederError.

        It costs a wait only where jobs run under this name that this machine's runner has never heard of.
        """
        lease = self.queue.dir.feeders / self.feeder
        if not namesake.may_live(lease, killed):
            return
        with self.queue.store.read(timeout=self.options.timeout) as tx:
            rows = claims.running_of(tx, self.feeder)
        if not rows:
            return
        hello = self.runner.hello(self._environment.shell, self._environment.variables)
        known = {running.key for running in (*hello.running, *hello.orphans, *hello.rebooted)}
        known |= {ended.key for ended in hello.exits}
        keys = map(key_of, rows)
        if any(key not in known and key.token.partition(".")[0] != hello.journal for key in keys):
            renewal = self.queue.settings.node_lease / RENEWALS
            namesake.refuse(lease, renewal, self.node, self.signals)

    def _tidy(self) -> None:
        """Remove from the queue what killed processes left there a day ago; that it cannot is no matter."""
        try:
            for path in self.queue.tidy():
                LOG.info("%s: removed, it was left a day ago", path)
        except StorageError as error:
            LOG.warning("%s", error)

    @property
    def is_attached(self) -> bool:
        """Whether there is a connection to a runner."""
        return self._runner is not None

    @property
    def runner(self) -> RunnerClient:
        """The connection to the runner. Raises RunnerGone while there is none."""
        if self._runner is None:
            raise RunnerGone("there is no connection to the runner")
        return self._runner

    def attach(self) -> None:
        """Connect to this node's runner and start one where there is none.

        Raises RunnerError, and QueueError when the local state was removed.
        """
        self.detach()
        self._check_local_state()
        self._runner = RunnerClient.connect_or_start(self._state.path)

    def detach(self) -> None:
        """Let the runner go: it ends the ready shells, jobs run on."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def agree(self, exits: Mapping[Key, Exit], stopped: Collection[Key] = frozenset()) -> None:
        """Bring the database and the runner into agreement; ``running`` and ``unsettled`` are the result.

        ``exits`` are those that only this process may still know, ``stopped`` the jobs that a stop has
        reached. Raises RunnerError, LockTimeout, and
        StorageError (also OutcomeUnknown): then it is to be done again.
        """
        hello = self.runner.hello(self._environment.shell, self._environment.variables)
        agreed = reconcile(self.queue.store, self.feeder, self.queue.path, hello, exits, stopped=stopped)
        for key in agreed.kill:
            LOG.warning("job %d: its claim was lost, ending it", key.jid)
            self.runner.kill(key, signal.SIGKILL)
        self.runner.confirm(agreed.confirm)
        self.journal = hello.journal
        self.running, self.unsettled = agreed.running, agreed.unsettled
        self.undecided, self.timeouts = agreed.undecided, agreed.timeouts
        self.leases.introduce(self.runner)

    def keep_leases(self) -> bool:
        """Renew this node's lease, and look after the others, where it is time.

        Returns whether this node was buried meanwhile. Raises RunnerGone, and QueueError when the local state
        was removed.
        """
        self._check_local_state()
        return self.leases.keep(self._runner)

    def _check_local_state(self) -> None:
        """Without it nobody reaches this feeder, and a second one may start beside it. Raises QueueError."""
        if not self._state.is_in_place():
            raise QueueError(f"{self._state.path}: its local state was removed: leaving, jobs run on")

    def sources(self) -> list[HasFileno]:
        """Everything that may end the loop's wait."""
        sources: list[HasFileno] = [self.signals, self.ear]
        return sources if self._runner is None else [*sources, self._runner]

    def finish(self, mode: Mode) -> None:
        """Say goodbye after the loop ended in ``mode``; the lease is given up if nothing runs any more."""
        if mode is Mode.LEAVING:
            LOG.info("leaving, jobs run on")
            return
        try:
            if self._runner is not None:
                self._runner.drop()
            with self.queue.store.read(timeout=LAST_LOOK) as tx:
                left = claims.running_of(tx, self.feeder)
            if not left:
                self.leases.end()
        except (RunnerError, StorageError, LockTimeout) as error:
            LOG.warning("%s", error)
        LOG.info("done")


def _check_shell(queue: Queue) -> None:
    shell = queue.settings.shell
    if shutil.which(shell) is None:
        raise FeederError(f"{shell}: no such shell on this node: install it, or mend {queue.dir.settings}")


def _set_up_log(options: FeedOptions, state_dir: Path) -> str:
    """Open the log; in the background it is never stderr and never grows without a limit."""
    path = options.log or (str(state_dir / "feeder.log") if options.background else "")
    size = options.log_size
    if path and not size and not options.log_age:
        size = DEFAULT_LOG_SIZE
    log.set_up(path, age=options.log_age, size=size, verbosity=options.verbosity)
    return path


def _refuse_root(directory: QueueDir) -> None:
    """Root must not run what others write: it would give them the machine. Raises FeederError."""
    if os.geteuid() != 0:
        return
    try:
        opening = next(writers.openings(directory), None)
    except OSError as error:
        raise StorageError(f"{error.filename or directory.path}: {error.strerror}") from error
    if opening is not None:
        path, what = opening
        raise FeederError(
            f"{path}: {what}, and root would run their commands: feed the queue as another user, or with "
            "--allow-root"
        )
