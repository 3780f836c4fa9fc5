"""One operation at all its points: is what is found afterwards what was promised?"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from rq_py.queue import Queue
from tests.crash.faults import Fault, Point
from tests.crash.operations import Operation, Whole
from tests.crash.summary import age, differences, summary, tree, without_gaps
from tests.crash.world import Hangs, Result, World

#: The exit codes that are documented (errors.py).
_STATUSES = frozenset({0, 1, 2, 75, 124})
#: What says that nobody knows, or that it was done though the command failed.
_DONE = re.compile(
    r"may have been|were submitted, but|is there, but|is changed, but|are deleted, but|was upgraded"
)
_TWO_DAYS = 2 * 86400.0


@dataclass
class Found:
    """What a sweep of one operation has come to."""

    operation: str
    tried: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Sweep:
    """The sweeps of ``operation`` in ``world``."""

    def __init__(self, world: World, operation: Operation) -> None:
        self._world, self._operation = world, operation
        self._roots = (str(world.folder),)
        self.found = Found(operation.name)
        world.make(operation.fill)
        self._words = operation.command(world)
        self._can_be_read = not self._say()
        self._before = self._summary()
        self._expect(self._run(), operation.well)
        self._after = self._summary()
        self._expect(self._run(), *operation.repeated)
        self._again = self._summary()
        self._between = operation.between(self._before, self._after)
        self._trees = {self._tidied_tree()}
        world.put_back()
        self._expect(self._run(), operation.well)
        self._trees.add(self._tidied_tree())

    def points(self, fault: Fault) -> int:
        """How many calls of the operation can have ``fault``."""
        self._world.put_back()
        point = Point(fault, 0, self._roots)
        self._world.traced(self._words, point.judge, self._operation.stdin)
        return point.seen

    def at(self, fault: Fault, n: int, *, persistent: bool = False) -> bool:
        """Let ``fault`` happen to the ``n``-th call, or to all from it on, and judge.

        False where the operation had no such call.
        """
        self._world.put_back()
        point = Point(fault, n, self._roots, persistent)
        how = f"{fault.name}{'+' if persistent else ''}"
        try:
            result = self._world.traced(self._words, point.judge, self._operation.stdin)
        except Hangs as hang:
            self._violation(f"{how} {n} at {point.hit}", str(hang))
            return True
        if not point.hit:
            return False
        self.found.tried[how] += 1
        where = f"{how} {n} at {point.hit}"
        was_killed = fault.name == "kill"
        for trouble in () if was_killed else faults_of(result, self._operation.well):
            self._violation(where, f"{trouble}: {result.status}: {result.stderr.strip()[:300]}")
        self._judge(where, None if was_killed else result, persistent)
        return True

    def _judge(self, where: str, result: Result | None, persistent: bool) -> None:
        """After the fault: the next command works, the queue is as before or after, and can be done again."""
        try:
            for trouble in self._troubles(result, persistent):
                self._violation(where, trouble)
        except (AssertionError, Hangs, OSError, sqlite3.Error) as error:
            self._violation(where, f"{type(error).__name__}: {error}")

    def _troubles(self, result: Result | None, persistent: bool) -> Iterator[str]:
        trouble = self._say()
        if trouble and self._can_be_read:  # a corrupt queue may still be one
            yield f"the next command: {trouble}"
            return
        now = self._summary()
        state = self._state_of(now)
        self.found.outcomes[state] += 1
        if state == "neither":
            yield "is neither as before nor as after: " + "; ".join(differences(now, self._nearest(now))[:4])
            return
        if result is not None:
            yield from self._contradictions(result, state, persistent)
        age(self._world.folder, _TWO_DAYS)
        again = self._run()
        wanted = (
            {self._operation.well} if state == "before" else {self._operation.well, *self._operation.repeated}
        )
        has_faults = again.status != self._operation.well and any(faults_of(again))
        if again.status not in wanted or has_faults:
            yield f"{state}, and again: {again.status}: {again.stderr.strip()[:300]}"
            return
        if state == "between" and again.status != self._operation.well:
            return  # it says why it cannot be completed: the archive is there
        then, goal = self._summary(), self._again if state == "after" else self._after
        if [path.name for path in (self._world.folder / "q").glob("db.*")] != ["db.1"]:
            then, goal = without_gaps(then), without_gaps(goal)
        if then != goal:
            yield f"{state}, and done again: " + "; ".join(differences(then, goal)[:4])
        found = self._tidied_tree()
        if found not in self._trees:
            one = min(self._trees, key=lambda names: len({*names} ^ {*found}))
            more, less = sorted({*found} - {*one}), sorted({*one} - {*found})
            yield f"{state}, and after tidying: {more} too much, {less} gone"

    def _contradictions(self, result: Result, state: str, persistent: bool) -> Iterator[str]:
        """What the command said, against what it did."""
        if self._before == self._after:
            return
        if result.status == self._operation.well and state != "after" and result.stderr == "":
            yield f"said that all is well, but is as {state}"
        if result.status in (0, self._operation.well) or state != "after" or _DONE.search(result.stderr):
            return
        # While nothing can be reached, nothing can be asked: then the error names what cannot be.
        if "nothing was" in result.stderr or not (persistent and str(self._world.folder) in result.stderr):
            yield f"failed, but was done: {result.stderr.strip()[:300]}"

    def _state_of(self, now: Whole) -> str:
        if now == self._after:
            return "after"
        if now == self._before:
            return "before"
        return "between" if now in self._between else "neither"

    def _nearest(self, now: Whole) -> Whole:
        known = [self._before, self._after, *self._between]
        return min(known, key=lambda whole: len(differences(now, whole)))

    def _say(self) -> str:
        """The next ordinary command; what is wrong with it."""
        if not self._world.queue.exists() or self._operation.name == "create":
            return ""
        result = self._world.rqpy((str(self._world.queue), "list", "all"))
        return f"{result.status}: {result.stderr.strip()[:300]}" if result.status or result.stderr else ""

    def _run(self) -> Result:
        return self._world.rqpy(self._words, self._operation.stdin)

    def _expect(self, result: Result, *statuses: int) -> None:
        if result.status not in statuses:
            raise AssertionError(f"{self._operation.name}: {result}")

    def _summary(self) -> Whole:
        return summary(self._world.folder) if self._world.queue.exists() else {}

    def _tidied_tree(self) -> tuple[str, ...]:
        """All names, after what a feeder does at its start, a day later, and the next copy beside a draft."""
        queue, out = self._world.queue, self._world.folder / "out"
        age(self._world.folder, _TWO_DAYS)
        if trouble := self._world.in_fork(lambda: Queue(queue).tidy()):
            raise AssertionError(f"tidying: {trouble}")
        if any(out.glob(".*")):
            self._world.good("snapshot", str(out / "next"))
            shutil.rmtree(out / "next")
        return tuple(tree(self._world.folder))

    def _violation(self, where: str, text: str) -> None:
        self.found.violations.append(f"{self._operation.name}: {where}: {text}")


def faults_of(result: Result, well: int = 0) -> Iterator[str]:
    """What is wrong with how a command ended that met an error; ``well`` is how it ends without one."""
    if result.status not in _STATUSES:
        yield "no documented exit code"
    lines = result.stderr.splitlines()
    if "Traceback" in result.stderr or "internal error" in result.stderr:
        yield "no error of a user"
    elif result.status not in (0, well) and not lines:
        yield "failed without a word"
    elif not all(line.startswith("rqpy: ") for line in lines):
        yield "no line of rqpy"
