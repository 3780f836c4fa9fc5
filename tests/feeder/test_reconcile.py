"""The plan of a reconciliation: one case for each thing that the database and the runner can say."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rq_py import Queue, claims, clock
from rq_py.feeder import leftovers
from rq_py.feeder.log import LOG
from rq_py.feeder.reconcile import plan, reconcile
from rq_py.job import Job, Reason
from rq_py.runner.client import Exit, Hello, Key, Running
from rq_py.runner.identity import boottime, start_ticks
from rq_py.runner.shell import BOOT
from tests.feeder.test_script import JOB

JOURNAL = "00000000000000aa"
EMPTY = Hello(
    journal=JOURNAL,
    boot="b",
    pid=1,
    version="0",
    running=[],
    exits=[],
    orphans=[],
    rebooted=[],
    complete=True,
)
BOOTED = 1_000_000_000.0  # 2001: before the job of the tests was started


def row(jid: int, journal: str = JOURNAL, *, restartable: bool = False) -> Job:
    return JOB._replace(jid=jid, token=f"{journal}.{jid:016x}", restartable=restartable)


def key(job: Job) -> Key:
    return Key(job.jid, job.attempt, job.token)


def running(job: Job) -> Running:
    return Running(key(job), pid=10 + job.jid, start=5, restartable=job.restartable, at=0.0)


def ended(job: Job) -> Exit:
    return Exit(key(job), 10, 0, None, 1.0, 1.0, 0.0, 0.0, 0, None)


def test_what_runs_is_adopted() -> None:
    job = row(1)
    made = plan([job], replace(EMPTY, running=[running(job)]), [], BOOTED)
    assert (made.adopt, made.kill, made.release, made.bury) == ([running(job)], [], [], {})


def test_what_ended_is_finished_whoever_knows_it() -> None:
    one, two = row(1), row(2)
    hello = replace(EMPTY, exits=[ended(one)], orphans=[running(one), running(two)], running=[running(two)])
    made = plan([one, two], hello, [ended(two)], BOOTED)
    assert sorted(known.key.jid for known in made.finish) == [1, 2]
    assert (made.adopt, made.end, made.bury) == ([], {}, {})


def test_the_journal_of_the_claim_without_going_proves_that_nothing_was_launched() -> None:
    job = row(1)
    assert plan([job], EMPTY, [], BOOTED).release == [job]


def test_another_journal_proves_nothing() -> None:
    job = row(1, journal="00000000000000bb")
    made = plan([job], EMPTY, [], BOOTED)
    assert (made.release, made.bury) == ([], {key(job): Reason.JOURNAL_LOST})
    assert made.journal_lost == [job]


def test_a_token_that_only_begins_alike_is_another_journals() -> None:
    job = JOB._replace(token=f"{JOURNAL}0.1")
    assert plan([job], EMPTY, [], BOOTED).release == []


def test_before_the_boot_is_a_reboot() -> None:
    job = row(1, journal="00000000000000bb")
    assert plan([job], EMPTY, [], 4e9).bury == {key(job): Reason.NODE_REBOOTED}
    known = row(2)
    made = plan([known], replace(EMPTY, rebooted=[running(known)]), [], BOOTED)
    assert (made.bury, made.end) == ({key(known): Reason.NODE_REBOOTED}, {})  # its pid is a stranger's now
    assert made.forget == [key(known)]


def test_what_a_killed_runner_left_is_ended_before_it_is_buried() -> None:
    job = row(1)
    made = plan([job], replace(EMPTY, orphans=[running(job)]), [], BOOTED)
    assert (made.end, made.bury) == ({key(job): [(11, 5)]}, {key(job): Reason.RUNNER_LOST})
    assert made.forget == [key(job)]


def test_an_orphan_that_was_buried_by_others_is_ended_too() -> None:
    job = row(1)
    made = plan([], replace(EMPTY, orphans=[running(job)]), [], BOOTED)
    assert (made.end, made.bury, made.forget) == ({key(job): [(11, 5)]}, {}, [key(job)])


def test_a_lost_claim_is_killed_if_it_may_run_elsewhere() -> None:
    one, two = row(1, restartable=True), row(2)
    made = plan([], replace(EMPTY, running=[running(one), running(two)]), [], BOOTED)
    assert [known.key.jid for known in made.kill] == [1]
    assert [known.key.jid for known in made.adopt] == [1, 2]


def test_leftovers_are_ended_with_their_children_though_they_ignore_term() -> None:
    shell = subprocess.Popen(
        ["bash", "-c", "trap '' TERM; sleep 100 & echo ready; wait; sleep 100"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert shell.stdout is not None
    assert shell.stdout.readline() == b"ready\n"
    start = start_ticks(shell.pid)
    assert start is not None
    one = Key(1, 1, "t")
    assert leftovers.end({one: [(shell.pid, start)]}) == set()
    assert shell.wait() == -signal.SIGKILL
    shell.stdout.read()  # to its end: the child that had it open is gone as well
    shell.stdout.close()


def test_another_start_time_is_another_process() -> None:
    child = subprocess.Popen(["sleep", "100"], start_new_session=True)
    assert leftovers.end({Key(1, 1, "t"): [(child.pid, 1)]}) == set()
    assert child.poll() is None
    child.kill()
    child.wait()


def test_leftovers_are_found_by_their_environment(tmp_path: Path) -> None:
    variables = {"RQ_Q": str(tmp_path), "RQ_JID": "5", "RQ_ATTEMPT": "1", "PATH": os.environ["PATH"]}
    child = subprocess.Popen(["sleep", "100"], env=variables)
    try:
        job = row(5)
        assert leftovers.find(tmp_path, [job, row(6), job._replace(attempt=2)], BOOTED) == {
            key(job): [(child.pid, start_ticks(child.pid))]
        }
        assert leftovers.find(tmp_path / "other", [job], BOOTED) == {}
    finally:
        child.kill()
        child.wait()


def test_a_shell_is_found_by_its_pid_if_it_is_older_than_the_claim(tmp_path: Path) -> None:
    shell = subprocess.Popen(["bash", "-c", "read x", BOOT], stdin=subprocess.PIPE)
    stranger = subprocess.Popen(["sleep", "100"])
    booted = time.time() - boottime()
    try:
        after, before = clock.utc_text(time.time() + 1), clock.utc_text(time.time() - 60)
        job = row(5)._replace(pid=shell.pid, started=after)
        assert leftovers.find(tmp_path, [job], booted) == {key(job): [(shell.pid, start_ticks(shell.pid))]}
        assert leftovers.find(tmp_path, [job._replace(started=before)], booted) == {}
        assert leftovers.find(tmp_path, [job._replace(pid=stranger.pid)], booted) == {}
    finally:
        for child in (shell, stranger):
            child.kill()
            child.communicate()


def test_what_an_incomplete_hello_does_not_tell_of_is_left_alone() -> None:
    one, two, three = row(1), row(2, journal="00000000000000bb"), row(3)
    made = plan([one, two, three], replace(EMPTY, complete=False, exits=[ended(three)]), [], BOOTED)
    assert (made.release, made.bury, made.journal_lost) == ([], {}, [])
    assert made.undecided == {key(one), key(two)}
    assert made.finish == [ended(three)]


def test_a_stopped_job_is_buried_and_not_finished_however_its_shell_ended() -> None:
    one, two, three = row(1), row(2), row(3)
    hello = replace(EMPTY, exits=[ended(one), ended(three)], orphans=[running(two)])
    made = plan([one, two, three], hello, [ended(one)], BOOTED, {key(one), key(two)})
    assert made.bury == {key(one): Reason.STOPPED, key(two): Reason.STOPPED}
    assert (made.finish, made.stopped) == ([ended(three)], [ended(one)])
    assert sorted(known.jid for known in made.forget) == [1, 2]


def test_a_leftover_that_leads_no_session_is_ended() -> None:
    child = subprocess.Popen(["sleep", "100"])
    try:
        start = start_ticks(child.pid)
        assert start is not None
        assert leftovers.end({Key(1, 1, "t"): [(child.pid, start)]}) == set()
        assert child.poll() == -signal.SIGTERM
    finally:
        child.kill()
        child.wait()


def test_a_session_is_its_jobs_if_somebody_in_it_is_older_than_the_shells_end() -> None:
    shell = subprocess.Popen(
        ["bash", "-c", "sleep 100 & echo $!"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert shell.stdout is not None
    child = int(shell.stdout.readline())
    shell.stdout.close()
    shell.wait()
    try:
        booted = time.time() - boottime()
        known = replace(ended(row(1)), pid=shell.pid, finished=time.time() + 1)
        assert leftovers.of_session(known, booted) == [(child, start_ticks(child))]
        assert leftovers.of_session(replace(known, finished=time.time() - 60), booted) == []
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(("decided", "said"), [(False, "job 1: runner_lost"), (True, "its claim was lost")])
def test_a_burial_is_reported_as_the_database_judged_it(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, decided: bool, said: str
) -> None:
    queue.submit("true")
    with queue.store.write() as tx:
        (job,) = claims.claim(tx, feeder="f", node="n", pids=[1], journal=JOURNAL, now="2026-01-01 00:00:00")
    if decided:  # by somebody else, between the look and the transaction

        def end(_shells: object) -> set[Key]:
            with queue.store.write() as tx:
                claims.release(tx, job.jid, job.attempt, job.token)
            return set()

        monkeypatch.setattr(leftovers, "end", end)
    gone = replace(running(job), pid=2**22 + 1)
    messages: list[str] = []
    monkeypatch.setattr(LOG, "warning", lambda text, *words: messages.append(text % words))
    reconcile(queue.store, "f", queue.path, replace(EMPTY, orphans=[gone]), {})
    (message,) = [text for text in messages if "runner_lost" in text]
    assert said in message
