"""A job's whole tree of processes: who belongs to it, and signals that never reach a stranger.

A job's shell leads a session (setsid(2)). To the job belong all processes of that session, which stays
named after the shell when the shell itself is gone, and all descendants of those. What has started a
session of its own *and* lost its parent has left the job, unless it was seen before as part of it
(``Tree`` remembers); nothing on Linux short of a cgroup finds it otherwise.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence

from rq_py.runner.identity import GONE_STATES, PARENT, SESSION, START, STATE, start_ticks, stat_fields
from rq_py.runner.protocol import LEASE_LOST

#: A process and its start time in clock ticks: one process of this boot.
Process = tuple[int, int]

#: How often a tree is looked for to also kill what was forked during the looks before.
_KILL_LOOKS = 10


class Look:
    """One look at all processes of the machine. Raises OSError if /proc cannot be read."""

    def __init__(self) -> None:
        self._session: dict[int, int] = {}
        self._begun: dict[int, int] = {}
        self._children: dict[int, list[int]] = {}
        self._zombies: set[int] = set()
        for name in os.listdir("/proc"):
            if name.isdecimal() and (fields := stat_fields(int(name))) is not None:
                pid = int(name)
                self._session[pid] = int(fields[SESSION])
                self._begun[pid] = int(fields[START])
                self._children.setdefault(int(fields[PARENT]), []).append(pid)
                if fields[STATE] in GONE_STATES:
                    self._zombies.add(pid)

    def members(self, pid: int, start: int, known: Iterable[Process] = ()) -> set[Process]:
        """Return the living processes of the job whose shell is or was ``pid``, started at ``start`` ticks.

        ``known`` are processes that were found to belong to it earlier: those and their descendants belong
        to it still, even where their parents are gone. Zombies are not living.
        """
        found = {process for process, ticks in known if self._begun.get(process) == ticks}
        # The kernel does not hand a number out again while a session has it for its name. So where another
        # process has the shell's pid, the job's session is gone, and that name is somebody else's now.
        if self._begun.get(pid, start) == start:
            found.update(
                process
                for process, session in self._session.items()
                if session == pid and self._begun[process] >= start
            )
        waiting = list(found)
        while waiting:
            new = [child for child in self._children.get(waiting.pop(), ()) if child not in found]
            found.update(new)
            waiting += new
        return {(process, self._begun[process]) for process in found - self._zombies}


class Tree:
    """The processes of one job; remembers those that a signal has reached, wherever they go."""

    def __init__(self, pid: int, start: int) -> None:
        self.pid = pid
        self.start = start
        self.reached: set[Process] = set()
        self.is_condemned = False  # the dead man's switch has told its shell to end
        self._ended_for: str | None = None  # why the feeder has

    @property
    def verdict(self) -> str | None:
        """Why its shell was told to end, where the exit is to say so, and is to wait for all of the tree."""
        return LEASE_LOST if self.is_condemned else self._ended_for

    def members(self, look: Look | None = None) -> set[Process]:
        """Return its living processes, by ``look`` or a fresh one. Raises OSError as ``Look`` does."""
        return (look or Look()).members(self.pid, self.start, self.reached)

    def signal(self, signum: int, reason: str | None = None) -> int:
        """Send ``signum`` to all of it, for the ``verdict`` with a ``reason``; return to how many processes.

        Raises OSError as ``Look`` does.
        """
        count = signal_trees([self], signum)
        if reason is not None and (self.pid, self.start) in self.reached:
            self._ended_for = reason
        return count


def members(pid: int, start: int) -> list[Process]:
    """Return the living processes of the job of shell ``pid``, started at ``start`` ticks, by pid.

    Raises OSError if /proc cannot be read.
    """
    return sorted(Look().members(pid, start))


def signal_trees(trees: Sequence[Tree], signum: int) -> int:
    """Send ``signum`` to all of several jobs with as few looks as possible; return how many it reached.

    A SIGKILL is repeated until a look finds nothing that it has not reached, for a job may fork faster
    than one look takes. Raises OSError if /proc cannot be read.
    """
    reached: set[Process] = set()
    for _ in range(_KILL_LOOKS if signum == signal.SIGKILL else 1):
        look = Look()
        before = len(reached)
        for tree in trees:
            # The shell first: told second, it may have seen its child die and end with 128 + signal.
            found = sorted(
                tree.members(look) - reached, key=lambda process: (process[0] != tree.pid, process)
            )
            new = {process for process in found if signal_process(*process, signum)}
            tree.reached |= new
            reached |= new
        if len(reached) == before:
            break
    return len(reached)


def signal_process(pid: int, start: int, signum: int) -> bool:
    """Send ``signum`` to process ``pid`` if it is still the one that started at ``start`` ticks.

    The descriptor is taken before the look at the start time, so the signal cannot reach a process that
    got the pid in between (pidfd_open(2)). Returns whether it was sent; it is not to a process of
    another user, which a job gets by running a setuid program.
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if start_ticks(pid) != start:
            return False
        signal.pidfd_send_signal(process, signum)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(process)
    return True
