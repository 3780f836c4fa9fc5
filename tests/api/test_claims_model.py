"""Claims against a small model: whatever is called in whatever order, only legal transitions happen."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rq_py import Job, JobSpec, Queue, State
from rq_py.claims import Outcome, Verdict, bury, claim, finish, release, running_of
from rq_py.clock import utc_text
from rq_py.job import TERMINAL, TRANSITIONS, Reason
from rq_py.store.rows import COLUMNS, jobs_of
from rq_py.store.transaction import Transaction

NODES = ["a", "b"]


@dataclass
class Row:
    """What the model knows of a job."""

    state: State
    priority: int
    required: str | None
    restartable: bool
    attempt: int = 0
    token: str = ""
    reason: str | None = None


class Claims(RuleBasedStateMachine):
    """Submits, claims, finishes, releases, buries and holds, with right and with wrong guards."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.queue = Queue.create(self.folder / "q")
        self.model: dict[int, Row] = {}
        self.seen: dict[int, Job] = {}
        self.verb = ""
        self.handles = [(1, 1, "never.claimed")]  # (jid, attempt, token) of claims, of now and of before

    @initialize()
    def begin_with_some(self) -> None:
        self.submit(
            [(0, None, False, False), (1, "a", True, False), (1, None, False, True), (0, None, True, False)]
        )

    @rule(
        jobs=st.lists(
            st.tuples(
                st.integers(-3, 3), st.sampled_from([None, "a", "b", "c"]), st.booleans(), st.booleans()
            ),
            min_size=1,
            max_size=5,
        )
    )
    def submit(self, jobs: list[tuple[int, str | None, bool, bool]]) -> None:
        self.verb = "submit"
        specs = [
            JobSpec("true", priority=priority, required_runner=required, restartable=restartable, stage=stage)
            for priority, required, restartable, stage in jobs
        ]
        for job, spec in zip(self.queue.submit_many(specs), specs, strict=True):
            assert job.jid not in self.model
            state = State.HOLDING if spec.stage else State.PENDING
            self.model[job.jid] = Row(state, spec.priority, spec.required_runner, spec.restartable)

    @rule(node=st.sampled_from(NODES), count=st.integers(0, 4))
    def claim(self, node: str, count: int) -> None:
        self.verb = "claim"
        pids = list(range(100, 100 + count))
        with self.queue.store.write() as tx:
            jobs = claim(tx, feeder=f"{node}.0", node=node, pids=pids, journal="j0", now=utc_text())
        free = [
            jid
            for jid, row in self.model.items()
            if row.state is State.PENDING and row.required in {None, node}
        ]
        free.sort(key=lambda jid: (-self.model[jid].priority, jid))
        assert [job.jid for job in jobs] == free[:count]
        assert [job.pid for job in jobs] == pids[: len(jobs)]
        for job in jobs:
            row = self.model[job.jid]
            row.state, row.attempt, row.token, row.reason = State.RUNNING, row.attempt + 1, job.token, None
            assert (job.state, job.attempt, job.runner) == (State.RUNNING, row.attempt, node)
            assert job.token.startswith("j0.")
            assert job.started
            self.handles.append((job.jid, job.attempt, job.token))

    @rule()
    def no_wrong_guard_changes_anything(self) -> None:
        with self.queue.store.write() as tx:
            for jid, row in self.model.items():
                if row.state is not State.RUNNING:
                    continue
                wrong = [(jid, row.attempt + 1, row.token), (jid, row.attempt - 1, row.token)]
                wrong += [(jid, row.attempt, row.token + "x"), (jid, row.attempt, ""), (10_000, 1, row.token)]
                for verb in (self._finish, self._release, self._bury):
                    for guard in wrong:
                        assert verb(tx, *guard) is Verdict.LOST

    @precondition(lambda self: len(self.handles) > 1)
    @rule(which=st.integers(0, 8), verb=st.integers(0, 2))
    def end(self, which: int, verb: int) -> None:
        jid, attempt, token = self.handles[-1 - which % len(self.handles)]
        self.verb = ("finish", "release", "bury")[verb]
        with self.queue.store.write() as tx:
            verdict = getattr(self, f"_{self.verb}")(tx, jid, attempt, token)
        assert verdict is self._expected(jid, attempt, token)

    def _finish(self, tx: Transaction, jid: int, attempt: int, token: str) -> Verdict:
        return finish(tx, Outcome(jid, attempt, token, 3, None, utc_text(), 1.5, 0.5, 0.25, 4096))

    def _release(self, tx: Transaction, jid: int, attempt: int, token: str) -> Verdict:
        return release(tx, jid, attempt, token)

    def _bury(self, tx: Transaction, jid: int, attempt: int, token: str) -> Verdict:
        reason = Reason.NODE_LOST if jid % 2 else Reason.STOPPED
        return bury(tx, jid, attempt, token, reason=reason, now=utc_text())

    def _expected(self, jid: int, attempt: int, token: str) -> Verdict:
        """Apply the verb to the model; what must be answered."""
        row = self.model.get(jid)
        if row is None or (row.attempt, row.token) != (attempt, token):
            return Verdict.LOST
        if row.state is State.RUNNING:
            if self.verb == "finish":
                row.state = State.FINISHED
            elif self.verb == "bury" and not row.restartable:
                row.state, row.reason = State.DEAD, "node_lost" if jid % 2 else "stopped"
            else:
                row.state, row.token = State.PENDING, ""
            return Verdict.DONE
        if self.verb == "finish" and row.state is State.DEAD and row.reason == "node_lost":
            row.state, row.reason = State.FINISHED, None
            return Verdict.DONE
        return Verdict.ALREADY if row.state in TERMINAL else Verdict.LOST

    @invariant()
    def the_database_is_as_the_model_and_changed_legally(self) -> None:
        with self.queue.store.read() as tx:
            found = {job.jid: job for job in jobs_of(tx.execute(f"SELECT {COLUMNS} FROM jobs"))}  # noqa: S608
            running = {job.jid for node in NODES for job in running_of(tx, f"{node}.0")}
            ready = dict(tx.execute("SELECT jid, ready FROM jobs").fetchall())
        for jid, job in found.items():
            row = self.model[jid]
            assert (job.state, job.attempt, job.token, job.reason) == (
                row.state, row.attempt, row.token, row.reason,
            )  # fmt: skip
            assert ready[jid] == ((row.required or "") if row.state is State.PENDING else None)
            before = self.seen.get(jid)
            if before is not None and before != job:
                assert before.state is not job.state
                assert (before.state, job.state) in TRANSITIONS[self.verb]
                assert job.attempt == before.attempt + (self.verb == "claim")
        assert found.keys() == self.model.keys()
        assert running == {jid for jid, row in self.model.items() if row.state is State.RUNNING}
        self.seen = found

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


Claims.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
TestClaims = Claims.TestCase
