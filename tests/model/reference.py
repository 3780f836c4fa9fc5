"""What a queue is meant to do, as short as can be said: rows in a dictionary, no files, no locks, no SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rq_py.claims import Verdict
from rq_py.job import TERMINAL, Reason, State

WAITING = {State.PENDING, State.HOLDING}
IDLE = WAITING | TERMINAL
ACTIVE = WAITING | {State.RUNNING}


class KeyTaken(Exception):
    """Two jobs that wait or run would have the same key: nothing is changed."""


@dataclass
class Row:
    """A job. ``token`` names its claim, '' for none; ``stdin`` is its content."""

    command: str
    priority: int = 0
    tag: str | None = None
    runner: str | None = None
    restartable: bool = False
    state: State = State.PENDING
    stdin: bytes | None = None
    attempt: int = 0
    token: str = ""
    reason: str | None = None
    exit_status: int | None = None
    retries: int = 0
    retried: int = 0
    key: str | None = None
    kind: str | None = None
    note: str | None = None  # of the last completion
    kept: set[tuple[int, str]] = field(default_factory=set)  # attempts, with their tokens, that are outcomes


@dataclass
class Chosen:
    """The jobs that an edit was about, and what was named in vain."""

    jids: list[int]
    refused: list[tuple[int, str]] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    unmatched: list[State] = field(default_factory=list)


class Reference:
    """The jobs by jid. Every method does what the method of Queue, or of claims, with its name must do."""

    def __init__(self) -> None:
        self.jobs: dict[int, Row] = {}
        self.last_jid = 0

    def submit(self, rows: Iterable[Row]) -> list[int]:
        jids = []
        for row in rows:
            there = self.holders(row.key)
            if there:
                jids += there
                continue
            self.last_jid += 1
            self.jobs[self.last_jid] = row
            jids.append(self.last_jid)
        return jids

    def holders(self, key: str | None) -> list[int]:
        """The jobs that wait or run and have ``key``: one at most."""
        if key is None:
            return []
        return [jid for jid, row in self.jobs.items() if row.key == key and row.state in ACTIVE]

    def _check_key(self, jids: list[int], key: str) -> None:
        if len(jids) > 1 or (jids and set(self.holders(key)) - set(jids)):
            raise KeyTaken

    def jids(self, selectors: Iterable[State | str | int]) -> list[int]:
        """The selected jobs, by jid: all of them by ``all``, or without a selector."""
        named = set(selectors)
        everything = not named or "all" in named
        return [jid for jid, row in sorted(self.jobs.items()) if everything or named & {jid, row.state}]

    def choose(self, selectors: Iterable[State | str | int], allowed: set[State]) -> Chosen:
        named = list(selectors)
        chosen = [jid for jid in self.jids(named) if self.jobs[jid].state in allowed]
        jids = sorted({jid for jid in named if isinstance(jid, int)})
        return Chosen(
            chosen,
            [(jid, self.jobs[jid].state) for jid in jids if jid in self.jobs and jid not in chosen],
            [jid for jid in jids if jid not in self.jobs],
            [
                State(name)
                for name in named
                if name in set(State) and all(row.state != name for row in self.jobs.values())
            ],
        )

    def update(self, selectors: Iterable[State | str | int], changes: Mapping[str, Any]) -> Chosen:
        chosen = self.choose(selectors, WAITING)
        if changes.get("key") is not None:
            self._check_key(chosen.jids, changes["key"])
        return self._change(chosen, changes)

    def resubmit(self, selectors: Iterable[State | str | int], changes: Mapping[str, Any]) -> Chosen:
        anew = {
            "state": State.PENDING,
            **changes,
            "token": "",
            "reason": None,
            "exit_status": None,
            "note": None,
            "retried": 0,
        }
        chosen = self.choose(selectors, IDLE)
        if changes.get("key") is not None:
            self._check_key(chosen.jids, changes["key"])
        elif "key" not in changes:
            keys = [key for jid in chosen.jids if (key := self.jobs[jid].key) is not None]
            others = {jid for key in keys for jid in self.holders(key)} - set(chosen.jids)
            if others or len(set(keys)) < len(keys):
                raise KeyTaken
        for jid in self.choose(selectors, {State.FINISHED}).jids:
            self.jobs[jid].kept.add((self.jobs[jid].attempt, self.jobs[jid].token))
        return self._change(chosen, {**anew, "retried": 0})

    def touch(self, command: str, tag: str | None, changes: Mapping[str, Any]) -> Chosen:
        like = [jid for jid in self.choose(["all"], WAITING).jids if self._is_like(jid, command, tag)]
        key = changes.get("key")
        if like and key is not None:
            self._check_key(like, key)
        there = [] if like else self.holders(key)
        if there:
            return Chosen(there)
        return self._change(Chosen(like or self.submit([Row(command, tag=tag)])), changes)

    def _is_like(self, jid: int, command: str, tag: str | None) -> bool:
        row = self.jobs[jid]
        return (row.command, row.tag, row.kind) == (command, tag, None)

    def _change(self, chosen: Chosen, changes: Mapping[str, Any]) -> Chosen:
        for jid in chosen.jids:
            for name, value in changes.items():
                setattr(self.jobs[jid], name, State(value) if name == "state" else value)
        return chosen

    def complete(self, jids: list[int], fail: bool, note: str | None) -> Chosen:
        chosen = self.choose(jids, {State.PENDING})
        commands = [jid for jid in chosen.jids if self.jobs[jid].kind is None]
        chosen.jids = [jid for jid in chosen.jids if jid not in commands]
        chosen.refused += [(jid, "no human step") for jid in commands]
        for jid in chosen.jids:
            row = self.jobs[jid]
            row.state, row.exit_status, row.note, row.attempt = (
                State.FINISHED,
                int(fail),
                note,
                row.attempt + 1,
            )
        return chosen

    def delete(self, selectors: Iterable[State | str | int]) -> Chosen:
        chosen = self.choose(selectors, IDLE)
        for jid in chosen.jids:
            del self.jobs[jid]
        return chosen

    def rotate(self) -> dict[int, Row]:
        """What moves: the jobs that have ended."""
        return {jid: self.jobs.pop(jid) for jid in self.choose(["all"], set(TERMINAL)).jids}

    def claim(self, node: str, count: int) -> list[int]:
        """Highest priority first, oldest first; the caller enters the tokens."""
        free = [
            jid
            for jid, row in self.jobs.items()
            if row.state is State.PENDING and row.runner in {None, node} and row.kind is None
        ]
        free.sort(key=lambda jid: (-self.jobs[jid].priority, jid))
        for jid in free[:count]:
            row = self.jobs[jid]
            row.state, row.attempt = State.RUNNING, row.attempt + 1
        return free[:count]

    def finish(self, jid: int, attempt: int, token: str, exit_status: int) -> Verdict:
        def finished(row: Row) -> None:
            if row.state is State.RUNNING and exit_status and row.retried < row.retries:
                row.kept.add((attempt, token))
                row.state, row.token, row.retried = State.PENDING, "", row.retried + 1
                return
            row.state, row.reason, row.exit_status = State.FINISHED, None, exit_status

        return self._end(jid, attempt, token, finished, late=True)

    def release(self, jid: int, attempt: int, token: str) -> Verdict:
        def pending(row: Row) -> None:
            row.state, row.token = State.PENDING, ""

        return self._end(jid, attempt, token, pending)

    def bury(self, jid: int, attempt: int, token: str, reason: Reason) -> Verdict:
        if jid in self.jobs and self.jobs[jid].restartable:
            return self.release(jid, attempt, token)

        def dead(row: Row) -> None:
            row.state, row.reason = State.DEAD, reason

        return self._end(jid, attempt, token, dead)

    def _end(
        self, jid: int, attempt: int, token: str, end: Callable[[Row], None], *, late: bool = False
    ) -> Verdict:
        """End an attempt, if it is that of this claim; ``late`` may also correct a lost node."""
        row = self.jobs.get(jid)
        if row is not None and (attempt, token) in row.kept:
            return Verdict.ALREADY
        if row is None or (row.attempt, row.token) != (attempt, token):
            return Verdict.LOST
        if row.state is State.RUNNING or (late and row.reason == Reason.NODE_LOST):
            end(row)
            return Verdict.DONE
        return Verdict.ALREADY if row.state in TERMINAL else Verdict.LOST
