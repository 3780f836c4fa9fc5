"""What the witnesses write is what really happened: job.sh, submit.py, the audit, and how they are read."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from rq_py.runner.identity import boottime
from tests.oracle import audit
from tests.oracle.evidence import collect, read_jobs, read_submits
from tests.oracle.scene import RQPY, Scene
from tests.oracle.submit import JOB, outcome_of
from tests.waiting import wait_until


@pytest.fixture
def scene(tmp_path: Path, environment: dict[str, str]) -> Scene:
    """A queue that is watched."""
    return Scene(tmp_path, environment)


def run_job(folder: Path, *words: str) -> int:
    """job.sh as a feeder's shell would run it."""
    variables = {"PATH": os.environ["PATH"], "RQ_JID": "7", "RQ_ATTEMPT": "2", "RQ_RUNNER": "here"}
    return subprocess.run(["sh", JOB, str(folder), *words], env=variables, check=False).returncode


@pytest.mark.parametrize(("seconds", "beats"), [("0", 0), ("0.005", 1), (".25", 1), ("0.7", 3), ("1.000", 4)])
def test_a_job_writes_its_start_its_life_and_its_end(tmp_path: Path, seconds: str, beats: int) -> None:
    begun = boottime()
    assert run_job(tmp_path, seconds, "3") == 3
    lines, torn = read_jobs([tmp_path / "jobs.here"])
    assert [line.event for line in lines] == ["start"] + ["beat"] * beats + ["end"]
    assert {(line.jid, line.attempt, line.place[0]) for line in lines} == {(7, 2, "here")}
    assert [line.status for line in lines] == [None] * (beats + 1) + [3]
    first, last = lines[0].at, lines[-1].at
    assert begun - 0.02 <= first <= boottime() + 0.02
    assert float(seconds) - 0.02 <= last - first <= boottime() - begun + 0.02
    assert torn == 0


def test_a_job_that_cannot_leave_evidence_says_so(tmp_path: Path) -> None:
    assert run_job(tmp_path / "missing", "0", "0") == 97


def test_torn_lines_are_counted_and_spoil_nothing(tmp_path: Path) -> None:
    file = tmp_path / "jobs.here"
    file.write_bytes(b"\nstart 6 1 here boot 12")
    run_job(tmp_path, "0", "0")
    with file.open("ab") as late:
        late.write(b"\nend 7 2 here boot 12.5 99 0\n" + bytes(100))
    lines, torn = read_jobs([file])
    assert [(line.jid, line.event) for line in lines] == [(7, "start"), (7, "end")]
    assert torn == 2


def test_submits_are_logged_before_and_after(scene: Scene) -> None:
    assert scene.submit(["true", "true"]).outcome == "acknowledged"
    assert scene.submit(["true"], "--priority=none").outcome == "failed"
    (log,) = scene.evidence.glob("submits.*")
    tried = [json.loads(line)["outcome"] for line in log.read_text().split("\n") if line]
    assert tried == ["trying", "acknowledged", "trying", "failed"]
    good, bad = read_submits([log])
    assert (good.outcome, good.count, good.jids) == ("acknowledged", 2, (1, 2))
    assert (bad.outcome, bad.count, bad.jids) == ("failed", 1, ())
    assert [violation.rule for violation in scene.violations()] == ["not-terminal"] * 2


def test_a_killed_submitter_leaves_an_unknown_submit(scene: Scene, tmp_path: Path) -> None:
    """It waits for an rqpy that never answers."""
    log = tmp_path / "evidence" / "submits.killed"
    words = ["--log", str(log), "--queue", "q", "--evidence", ".", "--jobs", "3"]
    words += ["--", "sh", "-c", "sleep 1000"]
    program = Path(audit.__file__).with_name("submit.py")
    submitter = subprocess.Popen(
        [sys.executable, str(program), *words], env=scene.environment, start_new_session=True
    )
    wait_until(lambda: log.exists() and log.read_text().endswith("}\n"), 60)
    os.killpg(submitter.pid, signal.SIGKILL)
    submitter.wait()
    assert {submit.outcome for submit in read_submits([log])} == {"unknown"}


@pytest.mark.parametrize(
    ("status", "stderr", "outcome"),
    [
        (0, "", "acknowledged"),
        (1, "rqpy: jobs 1 to 2 were submitted, but cannot be printed: No space left", "acknowledged"),
        (1, "rqpy: nothing was submitted, try again: q", "failed"),
        (2, "rqpy: job 1: no", "failed"),
        (75, "rqpy: q: held by pid 1", "failed"),
        (1, "rqpy: the jobs may have been submitted or not, look before you try again: q", "unknown"),
        (-9, "", "unknown"),
        (137, "", "unknown"),
        (1, "Traceback (most recent call last):", "unknown"),
    ],
)
def test_what_an_exit_status_promises(status: int, stderr: str, outcome: str) -> None:
    assert outcome_of(status, stderr) == outcome


def test_the_audit_sees_every_writer_and_survives_generations_and_copies(
    scene: Scene, tmp_path: Path
) -> None:
    scene.submit([scene.job(), scene.job(status=2), "true"])
    scene.rqpy("update", "3", "state=holding")
    scene.rqpy("feed", "--until-empty")
    scene.rqpy("recover", "--break")
    scene.rqpy("update", "3", f"command={scene.job()}", "state=pending")
    scene.rqpy("feed", "--until-empty")
    assert scene.violations() == []
    found = scene.collected()
    assert found.queue.generation == 2
    assert found.queue.audit is not None
    assert {change.generation for change in found.queue.audit} == {1, 2}
    moves = [
        (c.old.state if c.old else "", c.new.state if c.new else "") for c in found.queue.audit if c.jid == 3
    ]
    assert moves == [
        ("", "pending"), ("pending", "holding"), ("holding", "pending"), ("pending", "running"),
        ("running", "finished"),
    ]  # fmt: skip
    rotation = tmp_path / "rotation"
    scene.rqpy("rotate", str(rotation))
    assert collect(audit.dump(rotation), scene.evidence).queue.rows.keys() == {1, 2, 3}
    assert {violation.rule for violation in scene.violations()} == {"lost", "unexpected-delete"}
    with closing(sqlite3.connect(audit.current_database(scene.queue), isolation_level=None)) as stranger:
        stranger.execute("INSERT INTO jobs (jid, priority, state, submitted, submitter, command)"
                         " VALUES (9, 0, 'dead', '', '', '')")  # fmt: skip
    rules = {violation.rule for violation in scene.violations()}
    assert rules == {"lost", "unexpected-delete", "illegal-transition", "unexpected"}


def test_the_journal_is_as_before_when_the_audit_was_installed(scene: Scene) -> None:
    journal = audit.current_database(scene.queue).with_name("queue.db-journal")
    assert journal.stat().st_size > 0
    assert journal.read_bytes()[:8] == bytes(8)


def test_a_corrupt_database_is_dumped_as_far_as_it_goes(scene: Scene) -> None:
    scene.submit([f"true {'x' * 3000}" for _ in range(40)])
    database = audit.current_database(scene.queue)
    with closing(sqlite3.connect(database)) as looker:
        (page,) = looker.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs_state'").fetchone()
    content = bytearray(database.read_bytes())
    content[4096 * (page - 1) : 4096 * page] = b"\xff" * 4096
    database.write_bytes(content)
    found = scene.collected()
    assert found.queue.integrity != "ok"
    assert len(found.queue.rows) == 40
    assert "integrity" in {violation.rule for violation in scene.violations()}


def test_the_prober_measures(scene: Scene) -> None:
    log = scene.evidence / "probes.1"
    program = Path(audit.__file__).with_name("lock_prober.py")
    words = ["--log", str(log), "--queue", str(scene.queue), "--pause", "0.01", "--", *RQPY]
    prober = subprocess.Popen([sys.executable, str(program), *words], env=scene.environment)
    try:
        wait_until(lambda: log.exists() and log.read_text().count("\n") >= 2, 60)
    finally:
        prober.kill()
        prober.wait()
    probes = scene.collected().probes
    assert len(probes) >= 2
    assert {probe.status for probe in probes} == {0}
    assert all(0 < probe.seconds < 60 for probe in probes)
