"""Real feeders on a real queue: what jobs get, what is claimed, and who wakes whom."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from rq_py import JobSpec, Queue, State
from tests.conftest import Rqpy, command_line
from tests.feeder.conftest import Feed, Gate, becomes, count
from tests.waiting import wait_until


def test_jobs_run_and_their_outcome_is_recorded(queue: Queue, feed: Feed, tmp_path: Path) -> None:
    jobs = [
        queue.submit("echo out; echo err >&2; exit 3", cwd=str(tmp_path)),
        queue.submit("kill -9 $$", cwd=str(tmp_path)),
        queue.submit("cat; pwd", cwd=str(tmp_path), stdin=b"given\n"),
        queue.submit("true", cwd="/no/such/dir"),
    ]
    assert feed("--until-empty").ends() == 0
    first, killed, reader, lost = (queue.job(job.jid) for job in jobs)
    assert {job.state for job in (first, killed, reader, lost)} == {State.FINISHED}
    assert (first.exit_status, first.signal) == (3, None)
    assert (killed.exit_status, killed.signal) == (None, 9)
    assert queue.stream(1, "stdout").read_text() == "out\n"
    assert queue.stream(1, "stderr").read_text() == "err\n"
    assert queue.stream(3, "stdout").read_text() == f"given\n{tmp_path}\n"
    assert lost.exit_status == 126
    assert "cannot start in /no/such/dir" in queue.stream(4, "stderr").read_text()
    assert first.elapsed is not None
    assert 0 < first.elapsed < 10
    assert first.started is not None
    assert first.finished is not None
    assert first.submitted < first.started < first.finished
    assert (first.runner, first.attempt) == (os.environ["RQ_NODE"], 1)


def test_highest_priority_first_and_oldest_within(queue: Queue, feed: Feed, tmp_path: Path) -> None:
    order = [queue.submit(f"echo $RQ_JID >> {tmp_path}/order", priority=p).jid for p in (0, 5, 0, 9, 5)]
    assert feed("--until-empty", "--max-feed", "1").ends() == 0
    expected = [order[index] for index in (3, 1, 4, 0, 2)]
    assert list(map(int, (tmp_path / "order").read_text().split())) == expected


def test_no_more_run_at_once_than_slots(queue: Queue, feed: Feed, gate: Gate) -> None:
    queue.submit_many(JobSpec(gate.command, cwd="/") for _ in range(5))
    feed("--max-feed", "2")
    for jid in range(1, 6):
        wait_until(lambda: count(queue, State.RUNNING) == min(2, 5 - count(queue, State.FINISHED)))
        gate.open(jid)
        becomes(queue, jid, State.FINISHED)
        assert count(queue, State.RUNNING) <= 2


def test_no_exit_waits_for_something_else_to_happen(queue: Queue, feed: Feed) -> None:
    queue.submit_many(JobSpec("true", cwd="/") for _ in range(200))
    begun = time.monotonic()
    assert feed("--until-empty", "--max-feed", "2").ends() == 0
    assert time.monotonic() - begun < 10  # a second or so; each exit that is overlooked costs three


def test_a_job_can_submit_a_job(queue: Queue, feed: Feed) -> None:
    queue.submit('"$RQ" submit --quiet "echo second > /dev/stdout"')
    assert feed("--until-empty").ends() == 0
    assert [job.exit_status for job in queue.jobs()] == [0, 0]
    assert queue.stream(2, "stdout").read_text() == "second\n"


def test_a_job_sees_itself_and_nothing_of_ours(queue: Queue, feed: Feed) -> None:
    queue.submit("ls -l /proc/self/fd; echo; env -0")
    os.environ["RQ_LEAK"] = "x"
    try:
        assert feed("--until-empty").ends() == 0
    finally:
        del os.environ["RQ_LEAK"]
    listed, _, environment = queue.stream(1, "stdout").read_text().partition("\n\n")
    assert len(listed.splitlines()) == 5  # "total 0", 0, 1, 2 and ls's own
    variables = dict(entry.split("=", 1) for entry in environment.split("\0") if entry)
    assert variables["RQ_Q"] == str(queue.path)
    assert variables["RQ_PID"] == str(queue.job(1).pid)
    assert yaml.safe_load(variables["RQ_JOB"])[0]["jid"] == 1
    assert variables["PATH"].split(":")[0] == str(queue.dir.bin)
    documented = {"RQ", "RQ_NODE", "RQ_Q", "RQ_JOB"}
    fields = "JID PRIORITY STATE SUBMITTED STARTED SUBMITTER RUNNER STDOUT STDERR PID ATTEMPT CWD COMMAND"
    assert {name for name in variables if name.startswith("RQ")} == documented | {
        f"RQ_{name}" for name in fields.split()
    }


@pytest.mark.parametrize("login", ["once", "each", "never"])
def test_login(queue_path: Path, queue: Queue, feed: Feed, environment: dict[str, str], login: str) -> None:
    assert queue.path == queue_path
    settings = queue.dir.settings
    settings.write_text(settings.read_text().replace("login: never", f"login: {login}"))
    home = Path(environment["HOME"])
    (home / ".bash_profile").write_text(f"echo noise; echo x >> {home}/read; export FROM_PROFILE=yes\n")
    queue.submit_many(JobSpec("echo ${FROM_PROFILE-no}", cwd="/") for _ in range(3))
    assert feed("--until-empty", "--max-feed", "1").ends() == 0
    outputs = {queue.stream(job.jid, "stdout").read_text() for job in queue.jobs()}
    assert outputs == {"no\n" if login == "never" else "yes\n"}
    times_read = len((home / "read").read_text().split()) if (home / "read").exists() else 0
    assert times_read == {"once": 1, "never": 0}.get(login, times_read)
    assert login != "each" or times_read >= 3


def test_a_submit_on_this_node_wakes_its_feeder(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    feeder = feed("--min-sleep", "20", "--max-sleep", "20")
    # Its first tick is over when this job has run; from then on only the poll or the wake-up find jobs.
    queue.submit("true")
    becomes(queue, 1, State.FINISHED)
    begun = time.monotonic()
    rqpy("submit", "--quiet", "true", queue=queue.path, check=True)
    becomes(queue, 2, State.FINISHED)
    assert time.monotonic() - begun < 10, feeder.log


def test_a_submit_elsewhere_is_found_by_the_poll(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    feed("--min-sleep", "0.05", "--max-sleep", "0.2")
    queue.submit("true")
    becomes(queue, 1, State.FINISHED)
    begun = time.monotonic()
    rqpy("submit", "--quiet", "true", queue=queue.path, check=True, env={"RQ_NODE": "elsewhere"})
    becomes(queue, 2, State.FINISHED)
    assert time.monotonic() - begun < 10  # the full tick alone would take 30


def test_loops_end_after_their_jobs(queue: Queue, feed: Feed) -> None:
    queue.submit_many(JobSpec("true", cwd="/") for _ in range(5))
    assert feed("--loops", "1", "--max-feed", "2").ends() == 0
    assert Counter(job.state for job in queue.jobs()) == {State.FINISHED: 2, State.PENDING: 3}


def test_until_empty_leaves_what_another_node_must_run(queue: Queue, feed: Feed) -> None:
    queue.submit("true", runner="elsewhere")
    queue.submit("true", stage=True)
    queue.submit("true")
    assert feed("--until-empty").ends() == 0
    assert [job.state for job in queue.jobs()] == [State.PENDING, State.HOLDING, State.FINISHED]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it is about what root refuses")
def test_root_refuses_a_queue_that_others_can_write(queue: Queue, rqpy: Rqpy) -> None:
    queue.submit("true")
    for mode, owner in ((0o770, 0), (0o700, 65534)):
        queue.path.chmod(mode)
        os.chown(queue.path, owner, 0)
        refused = rqpy("feed", "--until-empty", queue=queue.path)
        assert refused.returncode == 1
        assert "root would run their commands" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert rqpy("feed", "--until-empty", "--allow-root", queue=queue.path).returncode == 0
    assert queue.job(1).exit_status == 0


def test_three_feeders_and_two_submitters_run_each_job_once(
    queue: Queue, environment: dict[str, str], tmp_path: Path
) -> None:
    nodes = [f"{environment['RQ_NODE']}-{number}" for number in range(3)]
    lines = "".join(f"echo $RQ_JID $RQ_RUNNER >> '{tmp_path}/ran-$RQ_RUNNER'\n" for _ in range(150))
    submitters = [
        subprocess.Popen(
            command_line(queue.path, "submit", "--quiet", "--priority", str(priority)),
            stdin=subprocess.PIPE,
            env=environment,
        )
        for priority in (0, 1)
    ]
    feeders = [
        subprocess.Popen(
            command_line(queue.path, "feed", "--max-feed", "2", "--verbosity", "warn"),
            env=environment | {"RQ_NODE": node},
            stderr=subprocess.PIPE,
        )
        for node in nodes
    ]
    try:
        for submitter in submitters:
            submitter.communicate(lines.replace("'", '"').encode())
            assert submitter.returncode == 0
        wait_until(lambda: count(queue, State.FINISHED) == 300, 60, 0.2)
    finally:
        for feeder in feeders:
            feeder.terminate()
        said = [feeder.communicate()[1] for feeder in feeders]
    assert [feeder.returncode for feeder in feeders] == [0, 0, 0]
    assert said == [b"", b"", b""]
    ran = Counter(
        int(line.split()[0]) for path in tmp_path.glob("ran-*") for line in path.read_text().splitlines()
    )
    assert ran == dict.fromkeys(range(1, 301), 1)
    jobs = list(queue.jobs())
    assert {job.exit_status for job in jobs} == {0}
    assert {job.attempt for job in jobs} == {1}
    assert len({job.runner for job in jobs}) > 1
    with queue.store.read() as tx:
        assert tx.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    left = {path.name for path in queue.path.rglob(".*")} | {
        path.name for path in queue.dir.feeders.iterdir()
    }
    assert left == set()
