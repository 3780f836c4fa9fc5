"""What ran, held against what the queue says that ran."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

from tests.oracle.evidence import Change, Line, Place, Row
from tests.oracle.timeline import Clocks
from tests.oracle.transitions import verb_of
from tests.oracle.verdict import Expected, Violation

#: jid and attempt.
Key = tuple[int, int]


@dataclass(slots=True)
class Run:
    """All that was written by one attempt, in laboratory time."""

    places: list[Place] = field(default_factory=list)  # of its starts
    begin: float = float("inf")
    last: float = float("-inf")
    statuses: list[int | None] = field(default_factory=list)  # of its ends
    last_place: Place = ("", "")


@dataclass(slots=True)
class History:
    """What the audit says about the attempts of one job."""

    claims: dict[int, Row] = field(default_factory=dict)
    finishes: dict[int, list[Row]] = field(default_factory=lambda: defaultdict(list))
    released: list[tuple[int, Row]] = field(default_factory=list)
    node_lost: set[int] = field(default_factory=set)
    resubmits: list[int] = field(default_factory=list)  # after which attempts

    def life(self, attempt: int) -> int:
        """How often the job was resubmitted before this attempt."""
        return sum(attempt > after for after in self.resubmits)


def runs_of(lines: Iterable[Line], clocks: Clocks) -> dict[Key, Run]:
    """The runs by jid and attempt."""
    runs: dict[Key, Run] = defaultdict(Run)
    for line in lines:
        run, at = runs[line.jid, line.attempt], clocks.time(line.place, line.at)
        if line.event == "start":
            run.places.append(line.place)
        if line.event == "end":
            run.statuses.append(line.status)
        run.begin = min(run.begin, at)
        if at > run.last:
            run.last, run.last_place = at, line.place
    return dict(runs)


def histories_of(audit: Sequence[Change]) -> dict[int, History]:
    """The histories by jid."""
    histories: dict[int, History] = defaultdict(History)
    for change in audit:
        old, new = change.old, change.new
        if old is None or new is None:
            continue
        history = histories[change.jid]
        match verb_of(change):
            case "claim":
                history.claims[new.attempt] = new
            case "finish" | "late finish":
                history.finishes[new.attempt].append(new)
            case "release":
                history.released.append((old.attempt, old))
            case "bury" if new.reason == "node_lost":
                history.node_lost.add(new.attempt)
            case "resubmit":
                history.resubmits.append(old.attempt)
    return dict(histories)


def check_runs(
    runs: Mapping[Key, Run], histories: Mapping[int, History], expected: Expected
) -> Iterator[Violation]:
    """At most one start, one for each outcome, no two at once, and the outcomes are the true ones."""
    attempts: dict[int, list[int]] = defaultdict(list)
    for jid, attempt in sorted(runs):
        attempts[jid].append(attempt)
        yield from _check_starts(jid, attempt, runs[jid, attempt], histories.get(jid, History()))
    for jid, numbers in attempts.items():
        history = histories.get(jid, History())
        for one, other in combinations(numbers, 2):
            yield from _check_overlap(jid, one, other, runs, history, expected)
        for before, after in pairwise(numbers):
            claim = history.claims.get(before)
            if history.life(before) == history.life(after) and (claim is None or not claim.restartable):
                text = f"attempt {after} was started after attempt {before}, and it is not restartable"
                yield Violation("started-again", jid, text)
    for jid, history in histories.items():
        yield from _check_outcomes(jid, history, runs, expected)


def _check_starts(jid: int, attempt: int, run: Run, history: History) -> Iterator[Violation]:
    if not run.places:
        yield Violation("evidence", jid, f"attempt {attempt} goes on without a start")
    if len(run.places) > 1:
        where = ", ".join(node for node, _ in run.places)
        yield Violation(
            "started-twice", jid, f"attempt {attempt} was started {len(run.places)} times: {where}"
        )
    if len(run.statuses) > 1:
        yield Violation("ended-twice", jid, f"attempt {attempt} has ended {len(run.statuses)} times")
    claim = history.claims.get(attempt)
    if claim is None:
        yield Violation("started-unclaimed", jid, f"attempt {attempt} was started, and nobody has claimed it")
        return
    for node, _ in run.places:
        if node != claim.runner:
            text = f"attempt {attempt} was claimed by {claim.runner} and started on {node}"
            yield Violation("started-elsewhere", jid, text)


def _check_overlap(
    jid: int, one: int, other: int, runs: Mapping[Key, Run], history: History, expected: Expected
) -> Iterator[Violation]:
    first, second = sorted((runs[jid, one], runs[jid, other]), key=lambda run: run.begin)
    if second.begin >= first.last - expected.clock_error:
        return
    if history.life(one) != history.life(other) and one in history.node_lost:
        return  # a person has resubmitted a job that may still run on the lost node, as it was said to
    for freeze in expected.freezes:
        limit = freeze.until + expected.after_freeze + expected.clock_error
        if freeze.place == first.last_place and second.begin < freeze.until and first.last <= limit:
            return
    text = f"attempts {one} and {other} ran at once for {first.last - second.begin:.2f} s"
    yield Violation("overlap", jid, text)


def _check_outcomes(
    jid: int, history: History, runs: Mapping[Key, Run], expected: Expected
) -> Iterator[Violation]:
    for attempt, row in history.released:
        if not row.restartable and (jid, attempt) in runs:
            yield Violation("released-though-started", jid, f"attempt {attempt} on {row.runner}")
    for attempt, rows in history.finishes.items():
        run = runs.get((jid, attempt))
        for row in rows:
            yield from _check_outcome(jid, attempt, row, run, expected)


def _check_outcome(
    jid: int, attempt: int, row: Row, run: Run | None, expected: Expected
) -> Iterator[Violation]:
    wrote = "no end" if run is None or not run.statuses else f"end with {run.statuses[-1]}"
    if row.signal is not None:
        if not expected.jobs_are_signalled:
            text = f"attempt {attempt} finished by signal {row.signal}, but nobody sent one to a job"
            yield Violation("ended-by-us", jid, text)
    elif row.reason is not None:
        if run is not None:
            text = f"attempt {attempt} never ran, says {row.reason!r}, but it was started"
            yield Violation("wrong-outcome", jid, text)
    elif run is None or run.statuses != [row.exit_status]:
        text = f"attempt {attempt} finished with {row.exit_status}, but it wrote {wrote}"
        yield Violation("wrong-outcome", jid, text)
