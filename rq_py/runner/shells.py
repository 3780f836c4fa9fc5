"""All shells of the runner: ready ones ahead of demand, launched ones until their exit is journalled."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, struct_rusage
from typing import NamedTuple

from rq_py.errors import RunnerError
from rq_py.runner.identity import boottime
from rq_py.runner.journal import Journal, Key, Record
from rq_py.runner.processes import Tree
from rq_py.runner.protocol import take_key
from rq_py.runner.shell import GOING, Shell
from rq_py.runner.withheld import Withheld

#: Most shells at a time, whatever their state: each is an item in an answer. There are fewer where the
#: process may not have the descriptors: a ready shell has three, and some are needed otherwise.
MAX_SHELLS = 1024
_FDS_PER_SHELL = 3
_OTHER_FDS = 64

#: Seconds that a ready shell has to leave when it is told to; its profile may have to end first.
LEAVE_SECONDS = 1.0

#: A shell that ends on its own before its word is a broken one: after so many in a row, starting more of
#: them waits for so many seconds, and who asks is told.
_BROKEN_IN_A_ROW = 3
_BROKEN_SECONDS = 5.0

#: The exit status of a shell that could not open the job's files, cannot change to its directory or the like.
_CANNOT_EXECUTE = 126
_NEVER_BEGAN = "its shell ended before the job began (login profile?)"

#: Children reaped in one go, so that a job that makes orphans by the thousand cannot hold the loop.
_REAP_AT_ONCE = 500


class Order(NamedTuple):
    """A job to be launched: in which ready shell (None: any), which attempt, what that shell executes."""

    pid: int | None
    key: Key
    restartable: bool
    script: bytes

    def record(self, shell: Shell, at: float) -> Record:
        """Return what the journal holds of it, launched in ``shell`` at ``at``, in epoch seconds."""
        jid, attempt, token = self.key
        return {
            "jid": jid,
            "attempt": attempt,
            "token": token,
            "pid": shell.pid,
            "start": shell.start,
            "restartable": self.restartable,
            "at": at,
        }


class Shells:
    """The table of shells, by pid, and of those that execute a job, by the job's key."""

    def __init__(self, journal: Journal, log: Callable[[str], None]) -> None:
        self._journal = journal
        self._log = log
        self._argv: Sequence[bytes] = ()
        self._environment: Mapping[bytes, bytes] = {}
        self._shells: dict[int, Shell] = {}
        self._ready: dict[int, Shell] = {}  # oldest first
        self._leaving: dict[int, Shell] = {}
        self._going: dict[Key, Shell] = {}
        self._withheld = Withheld()  # going, but the shell has ended
        self._ended: dict[Key, Tree] = {}  # of signalled jobs: something may have outlived the shell
        self._restartable = 0
        descriptors = getrlimit(RLIMIT_NOFILE)[0]
        if descriptors == RLIM_INFINITY:
            descriptors = MAX_SHELLS * _FDS_PER_SHELL + _OTHER_FDS
        self._most = min(MAX_SHELLS, max((descriptors - _OTHER_FDS) // _FDS_PER_SHELL, 1))
        self._wanted = 0
        self._broken = 0
        self._broken_at = 0.0
        self._trouble = ""
        self._last_break = ""
        self.behind = False

    # --- what there is -------------------------------------------------------------------------------

    @property
    def any_left(self) -> bool:
        """Whether there is any shell at all, in whatever state, or a job whose shell has left something."""
        return bool(self._shells or self._going)

    @property
    def going_count(self) -> int:
        """How many jobs run."""
        return len(self._going)

    def job(self, key: Key) -> Record:
        """Return a job that runs, as the journal has it."""
        return self._going[key].job

    def running(self) -> list[Record]:
        """Return the jobs that run, as the journal has them, and why those that were told to end were."""
        return [shell.job | {"reason": shell.tree.verdict} for shell in self._going.values()]

    def runs(self, key: Key) -> bool:
        """Tell whether this attempt runs in a shell of this runner."""
        return key in self._going

    @property
    def any_restartable(self) -> bool:
        """Whether a job runs that may be started again elsewhere."""
        return self._restartable > 0

    def restartable_trees(self) -> list[Tree]:
        """Return the trees of the running jobs that may be started again elsewhere."""
        return [shell.tree for shell in self._going.values() if shell.job["restartable"]]

    # --- ready shells --------------------------------------------------------------------------------

    def use(self, argv: Sequence[bytes], environment: Mapping[bytes, bytes]) -> None:
        """Start shells with ``argv`` and ``environment`` from now on; ready ones of another kind leave."""
        if (argv, environment) != (self._argv, self._environment):
            self.dismiss()
            self._argv, self._environment = argv, environment
            self._broken = 0

    def list_ready(self, most: int) -> list[Record]:
        """Return pid and start ticks of up to ``most`` ready shells, the oldest first."""
        shells = islice(self._ready.values(), most)
        return [{"pid": shell.pid, "start": shell.start} for shell in shells]

    def keep_ready(self, count: int) -> None:
        """Have ``count`` shells ready now, or as many as can be started, and keep one more ahead from now on.

        That one is for whoever launches all of them and has the next job a moment later.

        Raises:
            RunnerError: there is none and none can be started.

        """
        self._wanted = count + 1 if count else 0
        self._trouble = ""
        while len(self._ready) < count and self._start():
            pass
        if count and not self._ready:
            raise RunnerError(f"cannot start {os.fsdecode(self._argv[0])}: {self._trouble}")

    def short(self) -> bool:
        """Tell whether fewer shells are ready than wanted, and starting one is worth a try."""
        return len(self._ready) < self._wanted and not self._trouble

    def refill(self) -> None:
        """Start one shell ahead; where that fails, none is started until somebody asks."""
        if not self._start():
            self._log(f"cannot start a shell ahead: {self._trouble}")

    def dismiss(self) -> None:
        """Have all ready shells leave and keep none ahead."""
        self._wanted = 0
        for shell in self._ready.values():
            self._send_away(shell)
        self._ready.clear()

    def _send_away(self, shell: Shell) -> None:
        shell.leave(boottime() + LEAVE_SECONDS)
        self._leaving[shell.pid] = shell

    def _start(self) -> bool:
        if len(self._shells) >= self._most:
            self._trouble = f"there are {self._most} shells already"
        elif self._broken >= _BROKEN_IN_A_ROW and boottime() < self._broken_at + _BROKEN_SECONDS:
            self._trouble = "it ends at once, so it is no shell that rqpy can use"
        else:
            try:
                shell = Shell(self._argv, self._environment)
            except OSError as error:
                self._trouble = error.strerror or str(error)
                return False
            self._shells[shell.pid] = self._ready[shell.pid] = shell
            return True
        return False

    # --- jobs ----------------------------------------------------------------------------------------

    def launch(self, orders: Sequence[Order]) -> list[str | None]:
        """Launch jobs; return for each, in their order, None or why it was not. Then it executed nothing.

        The order of the steps is the promise: script into the shell's memory, "going" into the journal, and
        only then the word. Killed in between, we leave a record of a job that executed nothing, but
        never a job without a record.
        """
        results: list[str | None] = []
        chosen: list[tuple[int, Shell, Record]] = []
        at = time.time()
        for index, order in enumerate(orders):
            results.append(self._objection(order, {take_key(record) for _, _, record in chosen}))
            if results[index] is None:
                pid = next(iter(self._ready)) if order.pid is None else order.pid
                shell = self._ready.pop(pid)
                try:
                    shell.hand_script(order.script)
                    chosen.append((index, shell, order.record(shell, at)))
                except OSError as error:
                    results[index] = f"its script cannot be handed over: {error.strerror}"
                    self._send_away(shell)
        try:
            self._journal.launching([record for _, _, record in chosen])
        except OSError as error:
            for index, shell, _ in chosen:
                results[index] = f"the runner cannot write its journal: {error.strerror}"
                self._send_away(shell)
            return results
        now = boottime()
        for index, shell, record in chosen:
            key = take_key(record)
            try:
                shell.go(record, now)
            except BrokenPipeError:
                self._journal.forget([key])
                results[index] = f"shell {shell.pid} has just ended"
                self._send_away(shell)
            else:
                self._going[key] = shell
                self._restartable += orders[index].restartable
                self._broken = 0
        return results

    def _objection(self, order: Order, chosen: set[Key]) -> str | None:
        if order.key in chosen or self._journal.knows(order.key):
            return "this attempt was launched already"
        if order.pid is None:
            if self._ready or self._start():
                return None
            return f"no shell can be started: {self._trouble}"
        if order.pid not in self._ready:
            return f"shell {order.pid} is not ready{self._last_break}"
        return None

    def kill(self, key: Key, signum: int, reason: str | None = None) -> int:
        """Send ``signum`` to all processes of a job; return how many it reached, 0 if the job is not known.

        One that has ended is known until it is forgotten if it was signalled before. OSError without /proc.
        """
        tree = self._going[key].tree if key in self._going else self._ended.get(key)
        return 0 if tree is None else tree.signal(signum, reason)

    def forget(self, keys: Sequence[Key]) -> None:
        """Forget exits, orphans and rebooted jobs. What runs here is not forgotten, whoever asks for it."""
        keys = [key for key in keys if key not in self._going]
        self._journal.forget(keys)
        for key in keys:
            self._ended.pop(key, None)

    # --- ends ----------------------------------------------------------------------------------------

    def reap(self) -> list[Record]:
        """Reap what has ended, journal the jobs' exits and return them; ``behind`` tells if there is more."""
        exits: list[Record] = []
        self.behind = False
        with suppress(ChildProcessError):  # there is no child at all
            for _ in range(_REAP_AT_ONCE):
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    break
                if shell := self._shells.pop(pid, None):  # others are orphans of jobs: we are their subreaper
                    if shell.state == GOING:
                        self._withheld.add(shell, self._exit_of(shell, status, usage))
                    else:
                        self._end_idle(shell, status)
                    shell.close()
            else:
                self.behind = True
        for shell, record in self._withheld.take():
            self._end(shell)
            exits.append(record)
        self._journal.ended(exits)
        return exits

    def _end(self, shell: Shell) -> None:
        key = take_key(shell.job)
        del self._going[key]
        self._restartable -= bool(shell.job["restartable"])
        if shell.tree.reached:
            self._ended[key] = shell.tree

    def _exit_of(self, shell: Shell, status: int, usage: struct_rusage) -> Record:
        key = take_key(shell.job)
        code = None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        reason = shell.last_words() if code == _CANNOT_EXECUTE else None
        if code is not None and not shell.has_begun:
            code, reason = _CANNOT_EXECUTE, _NEVER_BEGAN
        return {
            "jid": key[0],
            "attempt": key[1],
            "token": key[2],
            "pid": shell.pid,
            "exit_status": code,
            "signal": os.WTERMSIG(status) if code is None else None,
            "finished": time.time(),
            "elapsed": round(boottime() - shell.started, 6),
            "user_cpu": round(usage.ru_utime, 6),
            "system_cpu": round(usage.ru_stime, 6),
            "max_rss": usage.ru_maxrss * 1024,  # Linux counts it in KiB, getrusage(2)
            "reason": shell.tree.verdict or reason,
        }

    def _end_idle(self, shell: Shell, status: int) -> None:
        self._leaving.pop(shell.pid, None)
        if self._ready.pop(shell.pid, None):
            code = os.waitstatus_to_exitcode(status)
            how = f"exit status {code}" if code >= 0 else f"signal {-code}"
            words = shell.last_words() or "it said nothing"
            self._last_break = f": it ended with {how} before its job: {words}"
            self._trouble = f"shell {shell.pid}{self._last_break}"
            self._broken += 1
            self._broken_at = boottime()

    def next_deadline(self) -> float:
        """Return the ``boottime()`` at which ``reap`` or ``tick`` has something to do, or infinity."""
        leave_by = min((shell.leave_by for shell in self._leaving.values()), default=math.inf)
        return min(leave_by, self._withheld.next_look())

    def tick(self, now: float) -> None:
        """Kill the shells that were told to leave and have not done so in time."""
        for shell in self._leaving.values():
            if shell.leave_by <= now:
                shell.kill()
                shell.leave_by = math.inf
