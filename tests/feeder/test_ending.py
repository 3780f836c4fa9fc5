"""How feeders end: drain, stop, restart, and what a second one is told."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from rq_py import Queue, State
from rq_py.runner.identity import STATE, stat_fields
from tests.conftest import Rqpy, command_line
from tests.feeder.conftest import Feed, Gate, becomes, has_ended, number_in, runner_pid
from tests.waiting import wait_until


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, None])
def test_draining_waits_for_the_running_jobs(
    queue: Queue, feed: Feed, gate: Gate, rqpy: Rqpy, signum: int | None
) -> None:
    queue.submit(gate.command)
    feeder = feed("--max-feed", "1")
    becomes(queue, 1, State.RUNNING)
    if signum is None:
        rqpy("shutdown", queue=queue.path, check=True)
    else:
        feeder.process.send_signal(signum)
    feeder.says("draining: 1 running")
    queue.submit("true")
    assert feeder.process.poll() is None
    gate.open(1)
    assert feeder.ends() == 0
    assert [job.state for job in queue.jobs()] == [State.FINISHED, State.PENDING]
    assert list(queue.dir.feeders.iterdir()) == []


def test_the_second_interrupt_stops(queue: Queue, feed: Feed, gate: Gate) -> None:
    queue.submit(gate.command)
    queue.submit(gate.command, restartable=True)
    feeder = feed("--max-feed", "2")
    becomes(queue, 1, State.RUNNING)
    becomes(queue, 2, State.RUNNING)
    feeder.process.send_signal(signal.SIGINT)
    feeder.says("draining: 2 running")
    feeder.process.send_signal(signal.SIGINT)
    assert feeder.ends() == 0
    dead, again = queue.jobs()
    assert (dead.state, dead.reason) == (State.DEAD, "stopped")
    assert (again.state, again.attempt, again.token) == (State.PENDING, 1, "")


def test_stop_ends_whole_trees_and_returns_when_all_is_gone(
    queue: Queue, feed: Feed, rqpy: Rqpy, tmp_path: Path
) -> None:
    queue.submit(f"sleep 1000 & echo $! > {tmp_path}/child; trap 'echo caught; exit 0' TERM; wait; sleep 9")
    queue.submit(f"trap '' TERM; echo $$ > {tmp_path}/stubborn; while :; do sleep 1; done")
    feeder = feed("--max-feed", "2")
    pids = [number_in(tmp_path / name) for name in ("child", "stubborn")]
    begun = time.monotonic()
    rqpy("stop", "--grace", "0.5", queue=queue.path, check=True)
    assert time.monotonic() - begun < 15
    assert feeder.ends(1) == 0
    assert [(job.state, job.reason) for job in queue.jobs()] == [(State.DEAD, "stopped")] * 2
    assert queue.stream(1, "stdout").read_text() == "caught\n"
    assert all(has_ended(pid) for pid in pids)


def test_a_program_has_its_grace_though_its_shell_has_died(
    queue: Queue, feed: Feed, rqpy: Rqpy, tmp_path: Path
) -> None:
    saves = f"trap 'sleep 0.5; echo saved > {tmp_path}/saved; exit' TERM; while :; do sleep 0.05; done"
    queue.submit(f'bash -c "{saves}" & echo $! > {tmp_path}/saver; wait; true')
    queue.submit(
        f"bash -c \"trap '' TERM; while :; do sleep 1; done\" & echo $! > {tmp_path}/deaf; wait; true"
    )
    feed("--max-feed", "2")
    pids = [number_in(tmp_path / name) for name in ("saver", "deaf")]
    rqpy("stop", "--grace", "2", queue=queue.path, check=True)
    assert (tmp_path / "saved").read_text() == "saved\n"
    assert all(has_ended(pid) for pid in pids)
    assert [job.state for job in queue.jobs()] == [State.DEAD] * 2


def test_a_job_that_has_stopped_itself_ends_within_its_grace(
    queue: Queue, feed: Feed, rqpy: Rqpy, tmp_path: Path
) -> None:
    queue.submit(f"trap 'echo bye; exit' TERM; echo $$ > {tmp_path}/pid; kill -STOP $$; sleep 1000")
    feed()
    pid = number_in(tmp_path / "pid")
    wait_until(lambda: (fields := stat_fields(pid)) is not None and fields[STATE] == "T")
    rqpy("stop", "--grace", "600", queue=queue.path, check=True)
    assert queue.stream(1, "stdout").read_text() == "bye\n"


def test_a_job_that_had_ended_before_the_stop_is_finished(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    queue.submit("exit 7")
    feed()
    becomes(queue, 1, State.FINISHED)
    rqpy("stop", queue=queue.path, check=True)
    assert queue.job(1).exit_status == 7


def test_a_second_feeder_says_who_feeds(queue: Queue, feed: Feed, rqpy: Rqpy) -> None:
    feeder = feed()
    for mode in (["feed"], ["start"], ["feed", "--daemon"]):
        refused = rqpy(*mode, queue=queue.path)
        assert refused.returncode == 1
        assert f"by pid {feeder.process.pid} on {os.environ['RQ_NODE']} since 20" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        quiet = rqpy(*mode, "--quiet", queue=queue.path)
        assert (quiet.returncode, quiet.stdout, quiet.stderr) == (1, "", "")
    assert (
        rqpy(
            "feed", "--until-empty", queue=queue.path, env={"RQ_NODE": f"{os.environ['RQ_NODE']}-2"}
        ).returncode
        == 0
    )


def test_start_pid_feeder_restart_stop(queue: Queue, rqpy: Rqpy, gate: Gate) -> None:
    for mode in ("pid", "feeder", "shutdown", "stop"):
        none = rqpy(mode, queue=queue.path)
        assert (none.returncode, none.stdout) == (1, "")
        assert "no feeder of this user runs" in none.stderr
    started = rqpy("start", "--max-feed", "3", "--grace", "0.5", queue=queue.path, check=True)
    pid = yaml.safe_load(started.stdout)["pid"]
    assert started.stdout == f"---\npid: {pid}\n"
    assert rqpy("pid", queue=queue.path, check=True).stdout == started.stdout
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)} == {"/dev/null"}

    queue.submit(gate.command)
    becomes(queue, 1, State.RUNNING)
    about = yaml.safe_load(rqpy("feeder", queue=queue.path, check=True).stdout)
    assert (about["pid"], about["slots"], about["running"]) == (pid, 3, [1])
    assert about["jobs"]["rss"] > 0
    assert "launched as pid" in Path(about["log"]).read_text()

    restarted = rqpy("restart", "--max-feed", "4", queue=queue.path, check=True)
    new = yaml.safe_load(restarted.stdout)["pid"]
    assert new != pid
    about = yaml.safe_load(rqpy("feeder", queue=queue.path, check=True).stdout)
    assert (about["pid"], about["slots"], about["running"]) == (new, 4, [1])
    assert queue.job(1).attempt == 1
    gate.open(1)
    assert becomes(queue, 1, State.FINISHED).exit_status == 0

    rqpy("shutdown", "--wait", "20", queue=queue.path, check=True)
    assert rqpy("pid", queue=queue.path).returncode == 1


def test_start_reports_the_error_of_the_feeder(queue: Queue, rqpy: Rqpy) -> None:
    file = queue.dir.settings
    file.write_text(file.read_text().replace("shell: bash", "shell: /no/such/shell"))
    refused = rqpy("start", queue=queue.path)
    assert refused.returncode == 1
    assert "/no/such/shell" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert (
        rqpy("start", "--log", "/no/such/dir/log", queue=queue.path).stderr.count("cannot write the log") == 1
    )


def test_start_works_as_from_cron_and_quietly(queue: Queue, environment: dict[str, str]) -> None:
    bare = {"PATH": "/usr/bin:/bin", "HOME": environment["HOME"], "RQ_NODE": environment["RQ_NODE"]}
    done = subprocess.run(
        command_line(queue.path, "start", "--quiet"),
        env=bare,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    queue.submit("true")
    becomes(queue, 1, State.FINISHED)


def test_without_feeder_and_jobs_nothing_is_left(
    queue: Queue, feed: Feed, environment: dict[str, str]
) -> None:
    feeder = feed()
    runner = runner_pid(queue, environment)
    feeder.process.terminate()
    assert feeder.ends() == 0
    wait_until(lambda: not Path(f"/proc/{runner}").exists(), 10)
    assert {path.name for path in queue.local_state.iterdir()} <= {
        "feeder.lock",
        "runner.lock",
        "runner.log",
        "runner.journal",
        "runner.sock",
    }


def test_stop_ends_what_has_left_its_jobs_session_and_lost_its_parent(
    queue: Queue, feed: Feed, rqpy: Rqpy, tmp_path: Path
) -> None:
    queue.submit(f"setsid sh -c 'sleep 1000 & echo $! > {tmp_path}/meek' & wait; sleep 1000")
    deaf = f"trap : TERM; echo $$ > {tmp_path}/deaf; while :; do sleep 0.1; done"
    queue.submit(
        f"setsid sh -c 'setsid sh -c \"{deaf.replace('$', chr(92) + '$')}\" & exit' & wait; sleep 1000"
    )
    feed("--max-feed", "2")
    pids = [number_in(tmp_path / name) for name in ("meek", "deaf")]
    rqpy("stop", "--grace", "1", queue=queue.path, check=True)
    assert all(has_ended(pid) for pid in pids)
    assert [(job.state, job.reason) for job in queue.jobs()] == [(State.DEAD, "stopped")] * 2
