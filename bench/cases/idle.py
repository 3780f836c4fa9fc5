"""What a feeder and its runner cost while there is nothing to do: CPU, memory, polls and locks."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import psutil

from bench.case import CannotRun, Case, Contestant, Metric, Promise
from bench.lab import Lab
from bench.peers.ours import feed_command, feeding, queue_in
from bench.peers.peer import Fifo, daemon
from rq_py import Queue

#: Seconds after the first job until nothing of it is left to be done.
SETTLE = 2.0
#: Seconds for which the feeder is traced; less than the 30 s after which it always looks with a transaction.
TRACED = 20.0

_POLL = re.compile(r"openat\([^)]*queue\.db-journal\"[^)]*O_RDONLY")
_TRANSACTION = re.compile(r"openat\([^)]*/lock\"")
_LOCK = re.compile(r"fcntl\(\d+, F_(OFD_)?SETLKW?,")


def _contestants(lab: Lab, stack: ExitStack) -> list[Contestant]:
    del stack
    return [
        Contestant("feeder-and-runner", lambda: _use(lab)),
        Contestant("feeder-traced", lambda: _locks(lab)),
    ]


def _use(lab: Lab) -> Mapping[str, float]:
    """CPU and memory of both, over the same time."""
    seconds = lab.seconds(60, 8)
    with lab.folder() as folder, queue_in(folder) as queue, feeding(queue, folder) as feeder:
        runner = _runner_of(queue)
        time.sleep(SETTLE)
        pids = {"feeder": feeder.pid, "runner": runner}
        before = {name: _cpu_seconds(pid) for name, pid in pids.items()}
        time.sleep(seconds)
        figures = {}
        for name, pid in pids.items():
            figures[f"{name}_cpu_percent"] = (_cpu_seconds(pid) - before[name]) / seconds * 100
            figures[f"{name}_rss_mb"] = psutil.Process(pid).memory_info().rss / 1e6
    return figures


def _cpu_seconds(pid: int) -> float:
    """The time that a process's threads have run, in nanoseconds' resolution (Linux, schedstat)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text(encoding="ascii").split()[0]) for path in tasks) / 1e9


def _runner_of(queue: Queue) -> int:
    """The pid of the runner, which is nobody's child."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "rq_py.runner" in words and str(queue.local_state) in words:
            return int(process.pid)
    raise CannotRun("the feeder has no runner")


def _locks(lab: Lab) -> Mapping[str, float]:
    """How often an idle feeder polls, and how many transactions and lock calls that takes: strace(1)."""
    strace = shutil.which("strace")
    if strace is None:
        raise CannotRun("no program strace here")
    seconds = lab.seconds(TRACED, 6)
    with lab.folder() as folder, queue_in(folder) as queue, Fifo(folder / "ready") as ready:
        trace = folder / "trace"
        argv = [strace, "-f", "-qq", "-s", "4096", "-e", "trace=openat,fcntl", "-o", str(trace)]
        with daemon([*argv, *feed_command(queue)], folder / "feeder.log") as feeder:
            queue.submit(ready.command, cwd="/")
            ready.wait(feeder)
            time.sleep(SETTLE)
            start = trace.stat().st_size
            time.sleep(seconds)
            lines = trace.read_bytes()[start:].decode(errors="replace").splitlines()
            psutil.Process(_feeder_below(feeder.pid)).terminate()
            feeder.wait(30)
    polls = sum(1 for line in lines if _POLL.search(line))
    return {
        "polls_per_second": polls / seconds,
        "locks_per_poll": sum(1 for line in lines if _LOCK.search(line)) / max(polls, 1),
        "transactions_per_poll": sum(1 for line in lines if _TRANSACTION.search(line)) / max(polls, 1),
    }


def _feeder_below(strace: int) -> int:
    """The pid of what strace traces."""
    children = psutil.Process(strace).children()
    if not children:
        raise CannotRun("strace could not trace the feeder")
    return int(children[0].pid)


CASES = (
    Case(
        name="idle",
        title="An idle feeder and its runner, over 60 s (short: 8 s)",
        metrics=(
            Metric("feeder_cpu_percent", "feeder % CPU", 3),
            Metric("feeder_rss_mb", "feeder MB"),
            Metric("runner_cpu_percent", "runner % CPU", 3),
            Metric("runner_rss_mb", "runner MB"),
            Metric("polls_per_second", "polls/s", 2),
            Metric("locks_per_poll", "lock calls a poll", 2),
            Metric("transactions_per_poll", "transactions a poll", 2),
        ),
        contestants=_contestants,
        promises=(
            Promise("feeder below 0.1 % CPU", "feeder-and-runner", "feeder_cpu_percent", most=0.1),
            Promise("feeder below 35 MB", "feeder-and-runner", "feeder_rss_mb", most=35),
            Promise("runner below 0.1 % CPU", "feeder-and-runner", "runner_cpu_percent", most=0.1),
            Promise("runner below 15 MB", "feeder-and-runner", "runner_rss_mb", most=15),
            Promise("no lock in a poll", "feeder-traced", "locks_per_poll", most=0),
            Promise("no transaction in a poll", "feeder-traced", "transactions_per_poll", most=0),
        ),
        rounds=2,
        short_rounds=1,
        notes=("Every 30 s a feeder looks around with a transaction; the trace is of the time between two.",),
    ),
)
