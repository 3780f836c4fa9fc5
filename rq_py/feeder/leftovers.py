"""Finds and ends what a killed runner left of its jobs, so that an attempt is over before it is buried.

A job that the runner's journal names is found by its shell's pid and start time. Where the journal itself is
lost, two things are left to go by: the pid in the job's row, if that process is a shell of ours and older
than the claim (then it was that pid at the claim as well), and the environment that the script exports to
everything that it starts: ``RQ_Q``, ``RQ_JID`` and ``RQ_ATTEMPT``.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from rq_py import clock
from rq_py.job import Job
from rq_py.runner.client import Exit, Key
from rq_py.runner.identity import boottime, start_ticks
from rq_py.runner.processes import Process, Tree, members, signal_process
from rq_py.runner.shell import BOOT

#: Seconds between TERM and KILL, and after KILL until a process counts as one that cannot be ended.
TERM_SECONDS = 3.0
KILL_SECONDS = 5.0


def end(shells: Mapping[Key, Sequence[Process]]) -> set[Key]:
    """End all processes of the jobs whose shells (or other first processes) are given.

    Takes up to TERM_SECONDS + KILL_SECONDS. Returns the jobs of which something is left all the same: a
    process that sleeps in the kernel, or belongs to another user.
    """
    trees = [(key, Tree(pid, start)) for key, found in shells.items() for pid, start in found]
    for _, tree in trees:
        tree.reached.add((tree.pid, tree.start))  # it may lead no session: then only this names it
    for signum, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        for _, tree in trees:
            tree.signal(signum)
        _wait(trees, boottime() + seconds, signum)
        trees = [(key, tree) for key, tree in trees if tree.members()]
        if not trees:
            break
    return {key for key, _ in trees}


def _wait(trees: Iterable[tuple[Key, Tree]], deadline: float, signum: int) -> None:
    """Wait until nothing is left of ``trees``, or until ``deadline`` (CLOCK_BOOTTIME)."""
    for _, tree in trees:
        while (members := tree.members()) and (left := deadline - boottime()) > 0:
            _wait_for_one(min(members), left)
            if signum == signal.SIGKILL:
                tree.signal(signum)  # also what was forked meanwhile


def _wait_for_one(process: Process, seconds: float) -> None:
    pid, start = process
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)  # readable when the process ends, pidfd_open(2)
        try:
            if start_ticks(pid) == start:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                poll.poll(seconds * 1000)
        finally:
            os.close(descriptor)


def find(queue: Path, jobs: Collection[Job], booted: float) -> dict[Key, list[Process]]:
    """The processes of this user that belong to these attempts of jobs of ``queue``.

    ``booted`` is when this machine was booted, in seconds since the epoch. A program that clears its
    environment, and has lost its shell, is not found.
    """
    found = find_marked(queue, [key_of(job) for job in jobs])
    for job in jobs:
        shell = _shell_of(job, booted)
        if shell is not None:
            found.setdefault(key_of(job), []).append(shell)
    return found


def find_marked(queue: Path, keys: Collection[Key]) -> dict[Key, list[Process]]:
    """The living processes of this user that have the variables of these attempts, wherever they have gone.

    A feeder or a runner that a job has started is none of its processes: other jobs depend on it.
    """
    found: dict[Key, list[Process]] = {}
    marks = {key: _marks(queue, key) for key in keys}
    for name in os.listdir("/proc") if marks else ():
        variables = _words(name, "environ") if name.isdecimal() else frozenset()
        for key, mark in marks.items():
            if mark <= variables and not _is_ours(name):
                start = start_ticks(int(name))
                if start is not None:
                    found.setdefault(key, []).append((int(name), start))
    return found


def signal_strays(queue: Path, keys: Collection[Key], told: set[Process], kill: Collection[Key]) -> set[Key]:
    """End what has left its job's tree, but has its variables; return the jobs of which there was some.

    The runner does not find a process that has made a session of its own and lost its parent. It gets TERM
    when it is seen first, as ``told`` remembers, and KILL after that if its job is in ``kill``.
    """
    strays = find_marked(queue, keys)
    for key, found in strays.items():
        for process in found:
            if process not in told:
                told.add(process)
                signal_process(*process, signal.SIGTERM)
            elif key in kill:
                signal_process(*process, signal.SIGKILL)
    return set(strays)


def of_session(ended: Exit, booted: float) -> list[Process]:
    """What is left of the session of a job whose shell has ended, and whose start time is not known any more.

    A process that is in it and older than the shell's end proves that the session is the job's: its number
    was not free for anybody else since (processes.py). Without such a process nothing is named.
    """
    left = members(ended.pid, 0)
    ticks = (ended.finished - booted) * os.sysconf("SC_CLK_TCK")
    return left if any(start < ticks for _, start in left) else []


def _is_ours(pid: str) -> bool:
    words = _words(pid, "cmdline")
    return int(pid) == os.getpid() or any(
        b"rq_py.feeder" in word or b"rq_py.runner" in word for word in words
    )


def _marks(queue: Path, key: Key) -> frozenset[bytes]:
    return frozenset(
        {
            b"RQ_Q=" + os.fsencode(queue),
            f"RQ_JID={key.jid}".encode(),
            f"RQ_ATTEMPT={key.attempt}".encode(),
        }
    )


def _shell_of(job: Job, booted: float) -> Process | None:
    if not job.pid or not job.started or BOOT not in _words(str(job.pid), "cmdline"):
        return None
    start = start_ticks(job.pid)
    if start is None or booted + start / os.sysconf("SC_CLK_TCK") > clock.seconds_of(job.started):
        return None
    return job.pid, start


def _words(pid: str, name: str) -> frozenset[bytes]:
    """The arguments or variables of a process; none where it is another user's, or gone."""
    try:
        return frozenset(Path("/proc", pid, name).read_bytes().split(b"\0"))
    except OSError:
        return frozenset()


def key_of(job: Job) -> Key:
    """The claim of ``job`` that is in its row."""
    return Key(job.jid, job.attempt, job.token)
