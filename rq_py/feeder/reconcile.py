"""Brings the database and the runner into agreement: at a feeder's start, and when the runner died.

What the database believes to run under this feeder's name is compared with what the runner knows. ``plan``
decides, from facts only; ``reconcile`` carries it out: what is left of lost jobs is ended outside of any
transaction, and then one transaction makes all transitions, each of which is guarded. So it may be killed
anywhere and simply done again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rq_py import claims, clock
from rq_py.claims import Outcome, Verdict
from rq_py.feeder import leftovers
from rq_py.feeder.leftovers import key_of
from rq_py.feeder.limits import timeouts_of
from rq_py.feeder.log import LOG
from rq_py.job import Job, Reason
from rq_py.runner.client import Exit, Hello, Key, Running
from rq_py.runner.identity import boottime
from rq_py.runner.processes import Process
from rq_py.store.transaction import Store


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about each job: nothing is in two of these, but ``kill`` is part of ``adopt``."""

    adopt: list[Running] = field(default_factory=list)  # run on under this feeder
    kill: list[Running] = field(default_factory=list)  # run here though the claim was lost
    finish: list[Exit] = field(default_factory=list)
    release: list[Job] = field(default_factory=list)  # provably never launched
    end: dict[Key, list[Process]] = field(default_factory=dict)  # launched by a runner that was killed
    bury: dict[Key, Reason] = field(default_factory=dict)  # once nothing runs any more
    forget: list[Key] = field(default_factory=list)  # what the runner may forget after that
    journal_lost: list[Job] = field(default_factory=list)  # to be looked for among all processes
    stopped: list[Exit] = field(default_factory=list)  # a stop has reached them: to be looked for as well
    undecided: set[Key] = field(default_factory=set)  # the runner has not told all that it knows: left alone


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The result: what runs, and what the runner is to be told.

    ``unsettled`` jobs resist being ended, or are ``undecided``: an exit that is still to come tells about
    those, or the next reconciliation, which should be soon.
    """

    running: dict[Key, Running]
    kill: list[Key]
    confirm: list[Key]
    unsettled: set[Key]
    undecided: set[Key]
    timeouts: dict[Key, float]  # seconds, of those that run and have one


def outcome_of(ended: Exit) -> Outcome:
    """How an attempt ended, as the database writes it."""
    return Outcome(
        jid=ended.key.jid,
        attempt=ended.key.attempt,
        token=ended.key.token,
        pid=ended.pid,
        exit_status=ended.exit_status,
        signal=ended.signal,
        finished=clock.utc_text(ended.finished),
        elapsed=ended.elapsed,
        user_cpu=ended.user_cpu,
        system_cpu=ended.system_cpu,
        max_rss=ended.max_rss,
        reason=ended.reason,
    )


def plan(
    rows: Collection[Job],
    hello: Hello,
    exits: Collection[Exit],
    booted: float,
    stopped: Collection[Key] = frozenset(),
) -> Plan:
    """Decide about ``rows``, which run under this feeder's name, and all that the runner knows.

    ``exits`` are those that the feeder still has in its memory; ``booted`` is when this machine was
    booted, in seconds since the epoch, and only tells two reasons for burying apart. ``stopped`` are the jobs
    that a stop of this feeder has reached: how their shells ended does not count.
    """
    wanted = {key_of(row): row for row in rows}
    ended = {known.key: known for known in (*exits, *hello.exits)}
    running = {known.key: known for known in hello.running if known.key not in ended}
    orphans = {known.key: known for known in hello.orphans if known.key not in ended}
    rebooted = {known.key: known for known in hello.rebooted if known.key not in ended}
    made = Plan(
        adopt=list(running.values()),
        # The claim of a job that is not restartable may have been lost as node_lost; it runs on, for its
        # exit is still welcome. A restartable one may run elsewhere already.
        kill=[known for key, known in running.items() if key not in wanted and known.restartable],
        finish=[known for key, known in ended.items() if key not in stopped],
        stopped=[known for key, known in ended.items() if key in stopped],
        end={key: [(known.pid, known.start)] for key, known in orphans.items()},
        forget=[*orphans, *rebooted, *(key for key in ended if key in stopped)],
    )
    for key, row in wanted.items():
        if key in running or (key in ended and key not in stopped):
            continue
        if key in ended or (key in orphans and key in stopped):
            made.bury[key] = Reason.STOPPED
        elif key in orphans:
            made.bury[key] = Reason.RUNNER_LOST
        elif key in rebooted:
            made.bury[key] = Reason.NODE_REBOOTED
        elif not hello.complete:
            made.undecided.add(key)
        elif key.token.partition(".")[0] == hello.journal:
            made.release.append(row)  # the very journal of the claim, of this boot, has no "going" of it
        else:
            started = clock.seconds_of(row.started) if row.started else 0.0
            made.bury[key] = Reason.NODE_REBOOTED if started < booted else Reason.JOURNAL_LOST
            made.journal_lost.append(row)
    return made


def reconcile(
    store: Store,
    feeder: str,
    queue: Path,
    hello: Hello,
    exits: Mapping[Key, Exit],
    *,
    stopped: Collection[Key] = frozenset(),
) -> Reconciled:
    """Carry the plan out. Raises LockTimeout and StorageError, also OutcomeUnknown: then do it again."""
    # Before the queue is asked, which this node may be cut off from: others run these again when its lease is
    # over, and no dead man's switch ends what a killed runner left.
    ended = exits.keys() | {known.key for known in hello.exits}
    urgent = [known for known in hello.orphans if known.restartable and known.key not in ended]
    if urgent:
        leftovers.end({known.key: [(known.pid, known.start)] for known in urgent})
    with store.read() as tx:
        rows = claims.running_of(tx, feeder)
    booted = time.time() - boottime()
    made = plan(rows, hello, exits.values(), booted, stopped)
    to_end = _left_of(made, queue, booted, stopped)
    for key in to_end:
        LOG.warning("job %d: its runner was killed, ending what is left of it", key.jid)
    unsettled = leftovers.end(to_end)
    for key in unsettled:
        LOG.error("job %d: processes of it cannot be ended, it stays running until they are gone", key.jid)
    lost = []
    buried = {}
    with store.write() as tx:
        now = clock.utc_text()
        verdicts = claims.finish_all(tx, [outcome_of(known) for known in made.finish])
        for known, verdict in zip(made.finish, verdicts, strict=True):
            if verdict is Verdict.LOST:
                lost.append(known.key)
        for row in made.release:
            claims.release(tx, row.jid, row.attempt, row.token)
        for key, reason in made.bury.items():
            if key not in unsettled:
                buried[key] = claims.bury(tx, key.jid, key.attempt, key.token, reason=reason, now=now)
    _tell(made, buried, lost)
    return Reconciled(
        running={known.key: known for known in made.adopt},
        kill=[known.key for known in made.kill],
        confirm=[
            key for key in (*(known.key for known in made.finish), *made.forget) if key not in unsettled
        ],
        unsettled=unsettled | made.undecided,
        undecided=made.undecided,
        timeouts=timeouts_of(rows),
    )


def _left_of(made: Plan, queue: Path, booted: float, stopped: Collection[Key]) -> dict[Key, list[Process]]:
    """The processes by which all that is to be ended is found."""
    left = made.end | leftovers.find(queue, made.journal_lost, booted)
    reached = [known.key for known in made.stopped] + [key for key in made.end if key in stopped]
    for key, found in leftovers.find_marked(queue, reached).items():
        left[key] = [*left.get(key, ()), *found]
    for known in made.stopped:
        found = leftovers.of_session(known, booted)
        if found:
            left[known.key] = [*left.get(known.key, ()), *found]
    return left


def _tell(made: Plan, buried: Mapping[Key, Verdict], lost: Collection[Key]) -> None:
    """Say in the log what was done."""
    if made.adopt:
        LOG.info("%d jobs run on here: taken over", len(made.adopt))
    if made.finish:
        LOG.info("%d jobs had ended meanwhile", len(made.finish))
    for row in made.release:
        LOG.info("job %d: was claimed but never launched: released", row.jid)
    for key, verdict in buried.items():
        if verdict is Verdict.DONE:
            LOG.warning("job %d: %s", key.jid, made.bury[key])
        elif verdict is Verdict.LOST:
            LOG.warning("job %d: %s, but its claim was lost: left alone", key.jid, made.bury[key])
    if made.undecided:
        LOG.info("%d jobs: the runner has more to tell before they are decided about", len(made.undecided))
    for key in lost:
        LOG.warning("job %d: its claim was lost, its exit is refused", key.jid)
