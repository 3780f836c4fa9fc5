"""The legal transitions, once more from docs/explanation/states.md, and the audit held against them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.oracle.evidence import Change, Row
from tests.oracle.verdict import Expected, Violation

WAITING = frozenset({"pending", "holding"})
TERMINAL = frozenset({"finished", "dead"})

#: (state before, state after) -> verb; '' is before a submit and after a delete. An edit leaves the state.
LEGAL = {
    ("", "pending"): "submit",
    ("", "holding"): "submit",
    ("pending", "pending"): "edit",
    ("holding", "holding"): "edit",
    ("pending", "holding"): "hold",
    ("holding", "pending"): "unhold",
    ("pending", "running"): "claim",
    ("running", "finished"): "finish",
    ("dead", "finished"): "late finish",
    ("running", "pending"): "release",  # or a bury, where the job is restartable
    ("running", "dead"): "bury",
    ("finished", "pending"): "resubmit",
    ("finished", "holding"): "resubmit",  # as holding, where whoever resubmits it asks for that
    ("dead", "pending"): "resubmit",
    ("dead", "holding"): "resubmit",
    ("pending", ""): "delete",
    ("holding", ""): "delete",
    ("finished", ""): "delete",
    ("dead", ""): "delete",
}

#: Why a job of the queue itself (not of a backup) may be dead.
REASONS = frozenset({"node_lost", "node_rebooted", "runner_lost", "stopped", "journal_lost"})


def verb_of(change: Change) -> str | None:
    """What was done to the job, None where no such transition exists."""
    return LEGAL.get((change.old.state if change.old else "", change.new.state if change.new else ""))


def check_audit(
    audit: Sequence[Change], rows: dict[int, Row], rotated: set[int], expected: Expected
) -> Iterator[Violation]:
    """Every transition is legal, follows the one before, and the last one led to the row that is there."""
    by_jid: dict[int, list[Change]] = defaultdict(list)
    for change in audit:
        by_jid[change.jid].append(change)
    for jid, changes in by_jid.items():
        tokens: set[str] = set()
        before: Row | None = None
        for change in changes:
            if _mark(change.old) != _mark(before):
                yield Violation("audit", jid, f"{_show(change)} does not follow {_name(before)}")
            yield from _judge(change, tokens, rotated, expected)
            before = change.new
        if _mark(before) != _mark(rows.get(jid)):
            yield Violation("audit", jid, f"ends with {_name(before)}, but there is {_name(rows.get(jid))}")
    for jid in rows.keys() - by_jid.keys():
        yield Violation("audit", jid, "is there, but nobody inserted it")


def _judge(change: Change, tokens: set[str], rotated: set[int], expected: Expected) -> Iterator[Violation]:
    old, new, jid = change.old, change.new, change.jid
    verb = verb_of(change)
    if verb is None:
        rewritten = old is not None and new is not None and {old.state, new.state} <= TERMINAL
        rule = "terminal-rewritten" if rewritten else "illegal-transition"
        yield Violation(rule, jid, _show(change))
        return
    fault: str | None = None
    if new is None:
        if jid not in expected.removed and jid not in rotated:
            yield Violation("unexpected-delete", jid, _show(change))
    elif old is None:
        fault = None if (new.attempt, new.token) == (0, "") else "is not new"
    elif verb == "claim":
        fault = _fault_of_claim(old, new, tokens)
        tokens.add(new.token)
    elif new.attempt != old.attempt:
        fault = "changes the attempt"
    elif new.state in WAITING:
        fault = "leaves a token behind" if new.token else None
        if verb == "resubmit" and jid not in expected.resubmitted:
            yield Violation("unexpected-resubmit", jid, _show(change))
    else:
        fault = _fault_of_end(verb, old, new)
    if fault:
        yield Violation("illegal-transition", jid, f"{_show(change)}: {verb} {fault}")


def _fault_of_claim(old: Row, new: Row, tokens: set[str]) -> str | None:
    if new.attempt != old.attempt + 1:
        return "is not the next attempt"
    if old.token or not new.token or new.token in tokens:
        return "has no token of its own"
    return None if new.feeder and new.runner else "is nobody's"


def _fault_of_end(verb: str, old: Row, new: Row) -> str | None:
    """What is wrong with a finish or a bury."""
    if new.token != old.token:
        return "changes the token"
    if verb == "bury":
        if old.restartable:
            return "ends a restartable job"
        return None if new.reason in REASONS else f"for no reason: {new.reason}"
    if verb == "late finish" and old.reason != "node_lost":
        return f"of a job that is dead for {old.reason}"
    return None if (new.exit_status is None) != (new.signal is None) else "says not how it ended"


def _mark(row: Row | None) -> tuple[str, int, str] | None:
    return None if row is None else (row.state, row.attempt, row.token)


def _name(row: Row | None) -> str:
    if row is None:
        return "nothing"
    why = f" {row.reason}" if row.reason else ""
    return f"{row.state}{why} (attempt {row.attempt}, token {row.token or 'none'})"


def _show(change: Change) -> str:
    return f"#{change.seq} in generation {change.generation}: {_name(change.old)} -> {_name(change.new)}"
