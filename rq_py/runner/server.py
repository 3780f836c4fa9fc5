"""The runner's one loop: whatever happens wakes it, and then it looks after each of its duties in turn."""

from __future__ import annotations

import ctypes
import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable

from rq_py.errors import ProtocolError, RunnerGone
from rq_py.runner.connection import Connection, accept
from rq_py.runner.deadman import DeadMan
from rq_py.runner.identity import boottime
from rq_py.runner.journal import Journal
from rq_py.runner.orders import Orders
from rq_py.runner.protocol import take_key
from rq_py.runner.requests import Requests, wire_key
from rq_py.runner.shells import Shells
from rq_py.runner.standstill import StandStill

#: Seconds without feeder and without job after which the runner ends; its journal keeps the exits.
IDLE_SECONDS = 2.0

#: Seconds for which news of jobs may be gathered before the feeder is woken by them.
GATHER_SECONDS = 0.1

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2), linux/prctl.h


class Server:
    """Serves one feeder at a time on a listening socket, with the jobs that it has launched."""

    def __init__(self, journal: Journal, listener: socket.socket, log: Callable[[str], None]) -> None:
        self._log = log
        self._listener = listener
        self._shells = Shells(journal, log)
        self._deadman = DeadMan(log, StandStill())
        self._orders = Orders(self._shells, self._deadman)
        self._requests = Requests(journal, self._shells, self._orders, self._deadman)
        self._gathering_until = math.inf
        self._feeder: Connection | None = None
        self._stopping = False
        self._idle_since = boottime()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, self._greet)
        self._signals, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._signals, selectors.EVENT_READ, self._take_signals)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(signum, _do_nothing)
        become_subreaper()

    def run(self) -> None:
        """Serve until there is neither feeder nor job for a while, or until SIGTERM when no job runs."""
        while not self._is_over(boottime()):
            events = self._selector.select(self._timeout(boottime()))
            for key, mask in events:
                key.data(mask)
            self._reap()
            self._orders.launch_waiting()
            self._look_at_deadlines(boottime())
            self._flush(boottime())
            if not events and self._shells.short():
                self._shells.refill()
        self._disconnect()

    # --- when ----------------------------------------------------------------------------------------

    def _timeout(self, now: float) -> float | None:
        """Return for how many seconds there is nothing to do unless something happens; None for ever."""
        if self._shells.behind or self._shells.short():
            return 0
        deadline = min(
            self._shells.next_deadline(),
            self._deadman.next_deadline(now, any_restartable=self._shells.any_restartable),
            self._idle_since + IDLE_SECONDS if self._is_idle() else math.inf,
            self._gathering_until,
        )
        return None if deadline == math.inf else max(deadline - now, 0)

    def _is_idle(self) -> bool:
        return self._feeder is None and not self._shells.any_left and not self._deadman.busy

    def _is_over(self, now: float) -> bool:
        if not self._is_idle():
            self._idle_since = now
            return False
        return self._stopping or now >= self._idle_since + IDLE_SECONDS

    # --- what happens --------------------------------------------------------------------------------

    def _take_signals(self, _mask: int) -> None:
        """Act on the signals whose numbers the interpreter wrote to the pipe; SIGCHLD is for ``_reap``."""
        if signal.SIGTERM in os.read(self._signals, 4096) and not self._stopping:
            if self._shells.going_count:
                self._log("SIGTERM does not end the runner while jobs run")
            else:
                self._stopping = True
                self._selector.unregister(self._listener)
                self._listener.close()
                self._disconnect()

    def _greet(self, _mask: int) -> None:
        """Let a new feeder take the place of the old one."""
        if self._stopping:
            return
        try:
            feeder = accept(self._listener)
        except PermissionError as error:
            self._log(str(error))
        except OSError as error:
            self._log(f"cannot accept a connection: {error}")
            time.sleep(0.05)  # the caller stays in the queue, and would have us try again and again
        else:
            if feeder is not None:
                self._disconnect()
                self._feeder = feeder
                self._selector.register(feeder, selectors.EVENT_READ, self._serve)

    def _serve(self, mask: int) -> None:
        """Answer what the feeder has sent."""
        feeder = self._feeder
        if feeder is None or not mask & selectors.EVENT_READ:
            return
        try:
            for line in feeder.receive():
                self._requests.answer(line, feeder)
        except RunnerGone as error:
            self._disconnect(f"the feeder is gone: {error}")
        except ProtocolError as error:
            self._flush(math.inf)  # the answer, as far as it can be sent at once
            self._disconnect(f"the feeder is disconnected: {error}")
        except Exception:  # noqa: BLE001 - a bug costs the feeder's connection, but never the jobs
            import traceback  # 1 MB that the runner needs only here

            self._disconnect(f"the feeder is disconnected after an error of ours:\n{traceback.format_exc()}")

    def _disconnect(self, why: str | None = None) -> None:
        """Part with the feeder, if there is one, and with the shells that it had not told to go."""
        if why is not None:
            self._log(why)
        if self._feeder is not None:
            self._selector.unregister(self._feeder)
            self._feeder.close()
            self._feeder = None
        self._orders.forget()
        self._shells.dismiss()

    # --- duties --------------------------------------------------------------------------------------

    def _reap(self) -> None:
        exits = self._shells.reap()
        for ended in exits:
            self._orders.begun.pop(take_key(ended), None)
        if exits and self._feeder is not None:
            self._feeder.offer(exits)

    def _look_at_deadlines(self, now: float) -> None:
        self._shells.tick(now)
        try:
            self._deadman.tick(now, self._shells.restartable_trees)
        except OSError as error:
            self._log(f"cannot see the processes of jobs that have to end: {error}")

    def _flush(self, now: float) -> None:
        """Send what there is to say; news of jobs may wait a moment while there are orders for the slots."""
        self._gathering_until, gathering_until = math.inf, self._gathering_until
        if self._feeder is None:
            return
        try:
            has_news = bool(self._feeder.offers or self._orders.begun or self._orders.refusals)
            if has_news and self._orders.are_plenty:
                self._gathering_until = min(gathering_until, now + GATHER_SECONDS)
            is_due = (has_news and now >= self._gathering_until) or not self._orders.are_plenty
            if is_due:
                self._gathering_until = math.inf
                self._tell_of_orders(self._feeder)
            self._feeder.flush(with_offers=is_due)
        except RunnerGone as error:
            self._disconnect(f"the feeder is gone: {error}")
        else:
            writing = selectors.EVENT_WRITE if self._feeder.is_behind else 0
            if self._selector.get_key(self._feeder).events != selectors.EVENT_READ | writing:
                self._selector.modify(self._feeder, selectors.EVENT_READ | writing, self._serve)

    def _tell_of_orders(self, feeder: Connection) -> None:
        """Tell which orders that waited were launched and run, and which were refused."""
        orders = self._orders
        if orders.begun:
            feeder.send({"event": "begun", "jobs": list(orders.begun.values())})
            orders.begun.clear()
        if orders.refusals:
            jobs = [wire_key(key) | {"error": why} for key, why in orders.refusals]
            feeder.send({"event": "refused", "jobs": jobs})
            orders.refusals.clear()


def become_subreaper() -> None:
    """Have the orphans of jobs become our children, so that they stay findable and are reaped (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become the reaper of orphans")


def _do_nothing(_signum: int, _frame: object) -> None:
    """Handle a signal by nothing: that it is handled at all has the interpreter wake the loop."""
