"""Decides whether the queue has kept its promises: issue by issue, from the evidence alone.

``check(evidence, expected)`` returns the violations; none means that everything that was collected is
consistent with every promise. It says nothing about what was not collected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.oracle.attempts import check_runs, histories_of, runs_of
from tests.oracle.evidence import Evidence, Probe, Row
from tests.oracle.timeline import Clocks
from tests.oracle.transitions import TERMINAL, check_audit
from tests.oracle.verdict import Excuse, Expected, Freeze, Violation

__all__ = ["Excuse", "Expected", "Freeze", "Violation", "check"]


def check(
    evidence: Evidence, expected: Expected | None = None, clocks: Clocks | None = None
) -> list[Violation]:
    """All violations in ``evidence``, which was collected when everything had come to rest."""
    return list(_check(evidence, expected or Expected(), clocks or Clocks()))


def _check(evidence: Evidence, expected: Expected, clocks: Clocks) -> Iterator[Violation]:
    for database in (evidence.queue, *evidence.rotations):
        if database.integrity != "ok":
            yield Violation("integrity", None, database.integrity)
    rows = dict(evidence.queue.rows)
    rotated = {jid: row for rotation in evidence.rotations for jid, row in rotation.rows.items()}
    yield from _check_submits(evidence, rows, rotated, expected)
    yield from _check_rest(rows, rotated, expected)
    audit = evidence.queue.audit
    if audit is None:
        yield Violation("audit", None, "nothing was recorded in the database")
    else:
        yield from check_audit(audit, rows, set(rotated), expected)
        yield from check_runs(runs_of(evidence.lines, clocks), histories_of(audit), expected)
    if expected.lock_bound is not None:
        for probe in evidence.probes:
            yield from _check_probe(probe, expected.lock_bound, expected, clocks)


def _check_submits(
    evidence: Evidence, rows: dict[int, Row], rotated: dict[int, Row], expected: Expected
) -> Iterator[Violation]:
    """What was acknowledged is there, what failed is not, and a submit is there whole or not at all."""
    by_tag: dict[str | None, set[int]] = defaultdict(set)
    tags: dict[int, str | None] = {}
    inserted = [change.new for change in evidence.queue.audit or () if change.old is None and change.new]
    for row in (*inserted, *rotated.values(), *rows.values()):
        by_tag[row.tag].add(row.jid)
        tags[row.jid] = row.tag
    for submit in evidence.submits:
        found = by_tag.pop(submit.tag, set())
        if submit.outcome == "failed" and found:
            yield Violation(
                "failed-but-there", min(found), f"{len(found)} jobs of the failed submit {submit.tag}"
            )
        if found and len(found) != submit.count:
            text = f"{len(found)} of {submit.count} jobs of the {submit.outcome} submit {submit.tag}"
            yield Violation("half-submitted", min(found), text)
        if submit.outcome != "acknowledged":
            continue
        if not found and not submit.jids:
            yield Violation("lost", None, f"all {submit.count} jobs of the acknowledged submit {submit.tag}")
        for jid in submit.jids:
            there = jid in rows or jid in rotated
            if not there and jid not in expected.removed:
                yield Violation("lost", jid, f"was acknowledged with tag {submit.tag}")
            elif there and tags[jid] != submit.tag:
                yield Violation("lost", jid, f"was acknowledged with tag {submit.tag}, has tag {tags[jid]}")
    for tag, jids in by_tag.items():
        yield Violation("unexpected", min(jids), f"{len(jids)} jobs with tag {tag} that nobody has submitted")


def _check_rest(rows: dict[int, Row], rotated: dict[int, Row], expected: Expected) -> Iterator[Violation]:
    """Everything has come to its end, but for what the test itself holds."""
    for jid, row in rows.items():
        if row.state not in TERMINAL and not (row.state == "holding" and jid in expected.held):
            yield Violation(
                "not-terminal", jid, f"is still {row.state} (attempt {row.attempt}, {row.feeder})"
            )
    for jid, row in rotated.items():
        if row.state not in TERMINAL:
            yield Violation("not-terminal", jid, f"was rotated as {row.state}")


def _check_probe(probe: Probe, bound: float, expected: Expected, clocks: Clocks) -> Iterator[Violation]:
    if probe.status == 0 and probe.seconds <= bound:
        return
    begin = clocks.time(probe.place, probe.at)
    end = clocks.time(probe.place, probe.at + probe.seconds)
    for excuse in expected.excuses:
        if excuse.place == probe.place and begin < excuse.end and end > excuse.begin:
            return
    text = (
        f"status on {probe.place[0]} took {probe.seconds:.1f} s of {bound:g} s and exited with {probe.status}"
    )
    yield Violation("lock-wait", None, text)
