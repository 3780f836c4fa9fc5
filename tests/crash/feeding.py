"""A feeder and its runner at all their points: all jobs have run as was promised, whoever was killed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from tests.crash.faults import Fault, Point
from tests.crash.sweep import Found, faults_of
from tests.crash.world import Hangs, Result, World
from tests.oracle import audit, submit
from tests.oracle.checker import check
from tests.oracle.evidence import collect
from tests.oracle.scene import RQPY

#: Where node-local state lies, one directory for each node and queue.
_LOCAL = "/var/tmp/rqpy-"
#: Seconds for which calls fail that fail persistently: a fault that is over at some time.
_OUTAGE = 3.0
#: A feeder that runs all jobs that there are.
FEED = ("feed", "--until-empty", "--max-feed=2", "--min-sleep=0.05", "--max-sleep=0.2")


def with_jobs(world: World) -> None:
    """A queue that is recorded, with jobs that leave evidence."""
    evidence = world.folder / "evidence"
    evidence.mkdir()
    world.good("create", "login=never", "shell=sh")
    audit.install(world.queue)
    log = submit.Log(evidence / "submits.crash")
    (world.folder / "in" / "text").write_text("input\n")
    for status, *options in ((0,), (3, "--restartable"), (1, f"--stdin={world.folder}/in/text")):
        command = f"sh {submit.JOB} {evidence} 0.02 {status}"
        answer = submit.submit(log, RQPY, str(world.queue), [command], options, world.environment)
        if answer.outcome != "acknowledged":
            raise AssertionError(answer)


class FeedSweep:
    """The sweeps of ``victim`` (feeder or runner) while a feeder in ``world`` runs all jobs of a queue."""

    def __init__(self, world: World, victim: str) -> None:
        self._world, self._victim = world, victim
        self.found = Found(f"feed: {victim}")
        self._world.end()
        world.make(with_jobs)

    def at(self, fault: Fault, n: int, *, persistent: bool = False) -> bool:
        """Let ``fault`` happen to the ``n``-th call, or for some seconds from it on, and judge.

        False where the victim had no such call.
        """
        self._world.put_back()
        until: list[float] = []

        def is_over() -> bool:
            if not until:
                until.append(time.monotonic() + _OUTAGE)
            return time.monotonic() > until[0]

        point = Point(fault, n, (str(self._world.folder), _LOCAL), persistent, is_over)
        how = f"{fault.name}{'+' if persistent else ''}"
        try:
            result = self._feed(point)
            if not point.hit and n:
                return False
            self.found.tried[how] += 1
            where = f"{how} {n} at {point.hit}"
            for trouble in self._troubles(result, fault.name == "kill"):
                self.found.violations.append(f"{self.found.operation}: {where}: {trouble}")
        except (AssertionError, Hangs, OSError, sqlite3.Error) as error:
            self.found.violations.append(
                f"{self.found.operation}: {how} {n} at {point.hit}: {type(error).__name__}: {error}"
            )
        finally:
            self._world.end()
        return True

    def _feed(self, point: Point) -> Result:
        words = (str(self._world.queue), *FEED)
        if self._victim == "feeder":
            return self._world.traced(words, point.judge)
        return self._world.traced(words, point.judge, whose=_is_runner)

    def _troubles(self, result: Result, was_killed: bool) -> Iterator[str]:
        """What is wrong after the fault, when another feeder has done what was left."""
        if "Traceback" in result.stderr or "a bug in rqpy" in result.stderr:
            yield f"no error of a user: {result.stderr.strip()[-400:]}"
        if result.status != 0 and not (was_killed and self._victim == "feeder"):
            # As it may at its start, where the runner dies before it is up, or nothing can be opened.
            self.found.outcomes["feeder gave up"] += 1
            last = Result(result.status, "", "\n".join(result.stderr.splitlines()[-1:]))
            yield from (f"{trouble}: {result.stderr.strip()[-400:]}" for trouble in faults_of(last))
        if said := self._world.rqpy((str(self._world.queue), "list", "all")).stderr:
            yield f"the next command: {said}"
        second = self._world.rqpy((str(self._world.queue), *FEED))
        if second.status != 0:
            yield f"the next feeder: {second.status}: {second.stderr.strip()[-400:]}"
        evidence = collect(audit.dump(self._world.queue), self._world.folder / "evidence")
        yield from map(str, check(evidence))
        for row in evidence.queue.rows.values():
            self.found.outcomes[f"{row.reason or row.state}{', again' if row.attempt > 1 else ''}"] += 1
        if left := sorted(path.name for path in (self._world.queue / "feeders").iterdir()):
            yield f"the lease is still there: {left}"


def _is_runner(pid: int) -> bool:
    return b"rq_py.runner" in Path(f"/proc/{pid}/cmdline").read_bytes()
