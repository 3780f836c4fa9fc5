"""The Queue API against a reference: whatever is called in whatever order, right or wrong, both agree.

A queue on a real disk, with SQLite, and two feeders that claim and end jobs by ``rq_py.claims``. After every
step all rows, the column that feeders claim by, the files and the generation are compared. Every legal call
does in the queue what it does in ``reference.py``; every illegal one raises its documented error and changes
nothing.

``RQPY_TESTS=deep`` tries thirty times as many sequences, twice as long (about 10 minutes).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rq_py import Job, Queue, State, claims
from rq_py.claims import Outcome, Verdict
from rq_py.clock import utc_text
from rq_py.editing.edits import Edited
from rq_py.errors import IllegalTransition, NotFound, QueueExists, StorageError
from rq_py.store.transaction import Transaction
from tests.model.compared import assert_legal, values, values_of
from tests.model.drawn import (
    COMMANDS,
    NODES,
    changes,
    idle,
    jids,
    priorities,
    reason_for,
    rows,
    selectors,
    some_changes,
    spec_of,
    states,
    stdins,
    tags,
    touches,
    waiting,
)
from tests.model.reference import Chosen, KeyTaken, Reference, Row
from tests.model.wrong_calls import COUNT, wrong_calls
from tests.store.tally import assert_kept


class QueueApi(RuleBasedStateMachine):
    """A queue and its reference."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="rqpy-test-"))
        self.queue = Queue.create(self.folder / "q")
        self.reference = Reference()
        self.handles = [(1, 1, "never.claimed")]  # (jid, attempt, token) of all claims, also of lost ones
        self.seen: dict[int, Job] = {}
        self.verb = ""
        self.generation = 1
        self.copies = 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    # --- submit and its edits ----------------------------------------------------------------------------

    @initialize()
    def begin_with_some(self) -> None:
        self.submit([Row("true", 1), Row("true", 1, runner="a", restartable=True)], None)
        self.submit([Row("true", state=State.HOLDING), Row("true", 2, restartable=True)], b"in")
        self.submit([Row("true", 2), Row("true", 2)], None)
        self.claim("a", 4)
        self.end(0, "finish")
        self.end(1, "bury")

    @rule(wanted=st.lists(rows, min_size=1, max_size=4), stdin=stdins)
    def submit(self, wanted: list[Row], stdin: bytes | None) -> None:
        self.verb = "submit"
        specs = [spec_of(row) for row in wanted]
        submitted = self.queue.submit_many(iter(specs), stdin=stdin)
        last = self.reference.last_jid
        jids = self.reference.submit(replace(row, stdin=stdin) for row in wanted)
        new = sorted({jid for jid in jids if jid > last})
        assert [job.jid for job in submitted] == jids
        assert (submitted.count, submitted.new) == (len(wanted), len(new))
        assert submitted.first_jid == (new or jids)[0]
        assert set(submitted.jids()) == set(jids)
        self.same(submitted, jids)

    @rule(named=selectors(waiting), changed=some_changes)
    def update(self, named: list[State | str | int], changed: Any) -> None:
        self.verb = "update"
        self.edited(
            lambda: self.queue.update(*named, **changed), lambda: self.reference.update(named, changed)
        )

    @rule(named=selectors(idle), changed=changes)
    def resubmit(self, named: list[State | str | int], changed: Any) -> None:
        self.verb = "resubmit"
        self.edited(
            lambda: self.queue.resubmit(*named, **changed), lambda: self.reference.resubmit(named, changed)
        )

    @rule(command=st.sampled_from(COMMANDS), tag=tags, changed=touches)
    def touch(self, command: str, tag: str | None, changed: Any) -> None:
        self.verb = "touch"
        self.edited(
            lambda: self.queue.touch(command, tag=tag, **changed),
            lambda: self.reference.touch(command, tag, changed),
        )

    @rule(
        named=st.lists(jids, min_size=1, max_size=4), fail=st.booleans(), note=st.sampled_from([None, "a\nb"])
    )
    def complete(self, named: list[int], fail: bool, note: str | None) -> None:
        self.verb = "complete"
        self.edited(
            lambda: self.queue.complete(*named, fail=fail, note=note),
            lambda: self.reference.complete(named, fail, note),
        )

    @rule(named=selectors(idle))
    def delete(self, named: list[State | str | int]) -> None:
        self.verb = "delete"
        before = {jid: replace(row) for jid, row in self.reference.jobs.items()}
        edited, chosen = self.queue.delete(*named), self.reference.delete(named)
        assert [job.jid for job in edited] == chosen.jids
        assert all(values_of(job) == values(before[job.jid]) for job in edited)
        self.explained(edited, chosen)
        assert edited.leftover is None

    def edited(self, edit: Callable[[], Edited], meant: Callable[[], Chosen]) -> None:
        """The edit's answer: the jobs as they are after it, and what was named in vain; or it is refused."""
        try:
            chosen = meant()
        except KeyTaken:
            self.verb = "refused"
            with pytest.raises(IllegalTransition, match="key"):
                edit()
            return
        edited = edit()
        self.same(edited, chosen.jids)
        self.explained(edited, chosen)

    def explained(self, edited: Edited, chosen: Chosen) -> None:
        assert edited.count == len(edited) == len(chosen.jids)
        assert [tuple(row) for row in edited.refused] == chosen.refused
        assert [row[0] for row in edited.missing] == chosen.missing
        assert set(edited.unmatched) == set(chosen.unmatched)

    # --- looking -----------------------------------------------------------------------------------------

    @rule(named=selectors(states, least=0), jid=jids, count=st.integers(0, 6))
    def look(self, named: list[State | str | int], jid: int, count: int) -> None:
        self.same(self.queue.jobs(*named), self.reference.jids(named))
        self.same(self.queue.recent(count), sorted(self.reference.jobs, reverse=True)[:count])
        if jid in self.reference.jobs:
            self.same([self.queue.job(jid)], [jid])
        else:
            with pytest.raises(NotFound, match=f"no job {jid}"):
                self.queue.job(jid)
        counts = {state: len(self.reference.jids([state])) for state in State}
        counted = cast("dict[str, int]", self.queue.status()["jobs"])
        assert {state: counted[state] for state in State} == counts

    @rule(priority=priorities, state=states, tag=st.sampled_from(["t", "u"]), limit=st.integers(0, 5))
    def query(self, priority: int, state: State, tag: str, limit: int) -> None:
        rows = self.reference.jobs.items()
        found = [jid for jid, row in rows if row.priority != priority and row.state == state]
        self.same(self.queue.query(f"priority!={priority} state={state}"), sorted(found))
        found = sorted(jid for jid, row in rows if row.tag == tag or row.priority > priority)
        self.same(self.queue.query("tag = ? OR priority > ?", [tag, priority], limit=limit), found[:limit])

    # --- what is refused -----------------------------------------------------------------------------------

    @rule(wrong=st.integers(0, COUNT - 1), jid=jids)
    def refused(self, wrong: int, jid: int) -> None:
        """Each raises its error; that nothing has changed is seen by the invariant."""
        self.verb = "refused"
        error, call = wrong_calls(self.queue, jid)[wrong]
        with pytest.raises(error):
            call()

    # --- feeders -------------------------------------------------------------------------------------------

    @rule(node=st.sampled_from(NODES), count=st.integers(0, 4))
    def claim(self, node: str, count: int) -> None:
        self.verb = "claim"
        pids = list(range(100, 100 + count))
        with self.queue.store.write() as tx:
            jobs = claims.claim(tx, feeder=f"{node}.0", node=node, pids=pids, journal="j0", now=utc_text())
        assert [job.jid for job in jobs] == self.reference.claim(node, count)
        assert [job.pid for job in jobs] == pids[: len(jobs)]
        for job in jobs:
            self.reference.jobs[job.jid].token = job.token
            self.handles.append((job.jid, job.attempt, job.token))
            assert (job.runner, job.feeder) == (node, f"{node}.0")
            assert job.token.startswith("j0.")
            assert job.started

    @precondition(lambda self: len(self.handles) > 1)
    @rule(which=st.integers(0, 8), verb=st.sampled_from(["finish", "release", "bury"]))
    def end(self, which: int, verb: str) -> None:
        """End one of the last claims, be it lost long ago or not."""
        self.verb = verb
        jid, attempt, token = self.handles[-1 - which % len(self.handles)]
        with self.queue.store.write() as tx:
            verdict = self._end(tx, verb, jid, attempt, token)
        if verb == "finish":
            assert verdict is self.reference.finish(jid, attempt, token, 3)
        elif verb == "release":
            assert verdict is self.reference.release(jid, attempt, token)
        else:
            assert verdict is self.reference.bury(jid, attempt, token, reason_for(jid))

    @rule()
    def no_wrong_guard_changes_anything(self) -> None:
        self.verb = "guard"
        running = [(jid, self.reference.jobs[jid]) for jid in self.reference.jids([State.RUNNING])]
        with self.queue.store.write() as tx:
            for jid, row in running:
                wrong = [(jid, row.attempt + 1, row.token), (jid, row.attempt - 1, row.token)]
                wrong += [(jid, row.attempt, row.token + "x"), (jid, row.attempt, ""), (10_000, 1, row.token)]
                for guard in wrong:
                    for verb in ("finish", "release", "bury"):
                        assert self._end(tx, verb, *guard) is Verdict.LOST

    def _end(self, tx: Transaction, verb: str, jid: int, attempt: int, token: str) -> Verdict:
        if verb == "finish":
            ended = Outcome(jid, attempt, token, 3, None, utc_text(), 1.5, 0.5, 0.25, 4096)
            return claims.finish(tx, ended)
        if verb == "release":
            return claims.release(tx, jid, attempt, token)
        return claims.bury(tx, jid, attempt, token, reason=reason_for(jid), now=utc_text())

    # --- copies and repairs ------------------------------------------------------------------------------

    @precondition(lambda self: self.copies < 4)
    @rule()
    def rotate(self) -> None:
        self.verb = "rotate"
        path = self._new_path()
        moved = self.reference.rotate()
        rotated = self.queue.rotate(path)
        assert (rotated.path, rotated.jobs) == (path if moved else None, len(moved))
        if moved:
            self._is_copy(Queue(path), moved, stdin=True)
            with pytest.raises(QueueExists):
                self.queue.rotate(self.folder)

    @precondition(lambda self: self.copies < 4)
    @rule()
    def snapshot(self) -> None:
        self.verb = "snapshot"
        self._is_copy(self.queue.snapshot(self._new_path()), self.reference.jobs, stdin=False)

    @precondition(lambda self: self.copies < 6)
    @rule(break_lock=st.booleans())
    def recover(self, break_lock: bool) -> None:
        self.verb = "recover"
        self.copies += break_lock
        self.generation += break_lock
        found = self.queue.recover(break_lock=break_lock)
        assert (found["integrity"], found["generation"]) == ("ok", self.generation)

    def _new_path(self) -> Path:
        self.copies += 1
        return self.folder / f"copy{self.copies}"

    def _is_copy(self, copy: Queue, rows: Mapping[int, Row], *, stdin: bool) -> None:
        assert {job.jid: values_of(job) for job in copy.jobs()} == {
            jid: values(row) for jid, row in rows.items()
        }
        for jid, row in rows.items():
            if stdin and row.stdin is not None:
                assert copy.stream(jid, "stdin").read_bytes() == row.stdin
        for change in (
            lambda: copy.submit("true"),
            lambda: copy.delete("all"),
            lambda: copy.rotate(self.folder / "no"),
        ):
            with pytest.raises(StorageError, match="can only be read"):
                change()

    # --- what is compared --------------------------------------------------------------------------------

    def same(self, jobs: Iterable[Job], expected: list[int]) -> None:
        """These jobs, in this order, as the reference has them."""
        assert [(job.jid, *values_of(job)) for job in jobs] == [
            (jid, *values(self.reference.jobs[jid])) for jid in expected
        ]

    @invariant()
    def both_agree_and_only_legal_transitions_happened(self) -> None:
        found = {job.jid: job for job in self.queue.jobs()}
        self.same(found.values(), sorted(self.reference.jobs))
        with self.queue.store.read() as tx:
            ready = dict(tx.execute("SELECT jid, ready FROM jobs").fetchall())
            running = [job.jid for node in NODES for job in claims.running_of(tx, f"{node}.0")]
            assert tx.generation.number == self.generation
            assert_kept(tx)
        for jid, row in self.reference.jobs.items():
            is_free = row.state is State.PENDING and row.kind is None
            assert ready[jid] == ((row.runner or "") if is_free else None)
        assert sorted(running) == self.reference.jids([State.RUNNING])
        assert_legal(self.verb, self.seen, found)
        stdin = self.queue.dir.path / "stdin"
        names = set(os.listdir(stdin))  # and nothing that was staged is left
        assert names == {str(jid) for jid, row in self.reference.jobs.items() if row.stdin is not None}
        assert {int(name): (stdin / name).read_bytes() for name in names} == {
            jid: row.stdin for jid, row in self.reference.jobs.items() if row.stdin is not None
        }
        self.seen = found


DEEP = os.environ.get("RQPY_TESTS") == "deep"
QueueApi.TestCase.settings = settings(
    max_examples=1200 if DEEP else 40,
    stateful_step_count=80 if DEEP else 40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestQueueApi = pytest.mark.timeout(3600 if DEEP else 600)(QueueApi.TestCase)
