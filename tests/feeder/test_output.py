"""``output_limit``: a running job that has written too much is ended, and nobody else is."""

from __future__ import annotations

import math
import os
import platform
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rq_py import Job, Queue, State
from rq_py.feeder.filesize import size_of
from rq_py.feeder.ladder import Ladder
from rq_py.feeder.output import OutputLimit
from rq_py.runner.client import Key, RunnerClient
from tests.conftest import Rqpy
from tests.feeder.conftest import Feed, Gate, becomes, has_ended, number_in, runner_pid
from tests.waiting import wait_until

LIMIT = 1024 * 1024
#: Like yes, but a few megabytes a second only: it runs for some seconds on a machine that is busy.
FLOODS = "while echo once more; do :; done"


@pytest.fixture
def limited(queue: Queue, rqpy: Rqpy) -> Queue:
    """A queue in which a job may write 1 MiB."""
    rqpy("configure", "output_limit=1M", queue=queue.path, check=True)
    return queue


def ends(queue: Queue, jid: int) -> Job:
    """Wait until a job has finished."""
    wait_until(lambda: queue.job(jid).state is State.FINISHED, 60)
    return queue.job(jid)


def written(queue: Queue, jid: int) -> int:
    """The bytes in both streams of a job."""
    paths = [queue.dir.stream(name, jid) for name in ("stdout", "stderr")]
    return sum(path.stat().st_size for path in paths if path.exists())


@pytest.mark.parametrize("where", ["", " >&2"])
def test_a_job_above_the_limit_is_ended_and_others_are_not(
    limited: Queue, feed: Feed, gate: Gate, rqpy: Rqpy, where: str
) -> None:
    # Just at the limit, in both streams together.
    half = f"head -c {LIMIT // 2} /dev/zero"
    limited.submit(f"{half}; {half} >&2; {gate.command}; exit 3")
    limited.submit(f"{FLOODS}{where}", restartable=True)
    feeder = feed("--max-feed", "2")
    ended = ends(limited, 2)
    assert (ended.exit_status, ended.signal, ended.reason) == (None, signal.SIGTERM, "output_limit")
    assert ended.attempt == 1
    feeder.says("job 2: its output is above output_limit, ending it")
    shown = yaml.safe_load(rqpy("list", "2", queue=limited.path, check=True).stdout)
    assert (shown[0]["state"], shown[0]["reason"]) == ("finished", "output_limit")
    after = written(limited, 2)
    assert after > LIMIT, "what it wrote is kept"
    assert limited.job(1).state is State.RUNNING
    wait_until(lambda: written(limited, 1) == LIMIT, 60)
    gate.open(1)
    one = ends(limited, 1)
    assert (one.exit_status, one.reason) == (3, None)
    assert written(limited, 2) == after, "nobody writes any more"


def test_what_ignores_term_is_killed_after_the_grace_and_only_then_told(
    limited: Queue, feed: Feed, tmp_path: Path
) -> None:
    # The shell dies of TERM at once, the program that it runs does not.
    limited.submit(f"bash -c \"trap '' TERM; echo \\$\\$ > {tmp_path}/deaf; {FLOODS}\"; true")
    limited.submit(f"trap '' TERM; {FLOODS}")
    feeder = feed("--max-feed", "2", "--grace", "1.5")
    shells = [ends(limited, jid) for jid in (1, 2)]
    assert [(job.signal, job.reason) for job in shells] == [
        (signal.SIGTERM, "output_limit"),
        (signal.SIGKILL, "output_limit"),
    ]
    assert has_ended(number_in(tmp_path / "deaf")), "its exit was told while it lived"
    assert feeder.process.poll() is None


def test_a_job_may_use_its_grace(limited: Queue, feed: Feed) -> None:
    limited.submit(f"trap 'echo caught >&2; exit 7' TERM; {FLOODS}")
    feed("--max-feed", "1")
    job = ends(limited, 1)
    assert (job.exit_status, job.signal, job.reason) == (7, None, "output_limit")
    assert limited.stream(1, "stderr").read_text() == "caught\n"


def test_a_stopped_job_is_ended_by_term(limited: Queue, feed: Feed) -> None:
    limited.submit(f"head -c {LIMIT + 1} /dev/zero; kill -STOP $$; exit 3")
    feed("--max-feed", "1", "--grace", "600")
    job = ends(limited, 1)
    assert (job.signal, job.reason) == (signal.SIGTERM, "output_limit")


def test_what_has_left_the_jobs_tree_is_ended_as_well(limited: Queue, feed: Feed, tmp_path: Path) -> None:
    flooder = f"echo $$ > {tmp_path}/stray; trap '' TERM; {FLOODS}".replace("$", "\\$")
    limited.submit(f"setsid sh -c 'setsid sh -c \"{flooder}\" & exit' & wait; sleep 1000")
    feed("--max-feed", "1", "--grace", "0.5")
    assert ends(limited, 1).reason == "output_limit"
    pid = number_in(tmp_path / "stray")
    wait_until(lambda: has_ended(pid), 60)


def test_without_a_limit_nothing_is_ended(queue: Queue, feed: Feed, gate: Gate) -> None:
    queue.submit(f"head -c {3 * LIMIT} /dev/zero; {gate.command}")
    feed("--max-feed", "2")
    becomes(queue, 1, State.RUNNING)
    wait_until(lambda: written(queue, 1) == 3 * LIMIT)
    # Others come and go for longer than a feeder with a limit takes to look.
    for jid in (2, 3):
        queue.submit("sleep 1")
        ends(queue, jid)
    gate.open(1)
    assert (ends(queue, 1).exit_status, queue.job(1).reason) == (0, None)


def test_a_job_that_has_ended_before_anybody_looked_is_left_as_it_is(
    limited: Queue, feed: Feed, gate: Gate, tmp_path: Path
) -> None:
    limited.submit(f"echo $$ > {tmp_path}/pid; {gate.command}; head -c {3 * LIMIT} /dev/zero")
    feeder = feed()
    pid = number_in(tmp_path / "pid")
    feeder.kill()
    gate.open(1)
    wait_until(lambda: has_ended(pid), 60)
    assert feed("--until-empty").ends() == 0
    job = limited.job(1)
    assert (job.exit_status, job.reason, written(limited, 1)) == (0, None, 3 * LIMIT)


def test_the_next_feeder_enforces_the_limit(limited: Queue, feed: Feed, gate: Gate, tmp_path: Path) -> None:
    limited.submit(f"echo $$ > {tmp_path}/pid; {gate.command}; {FLOODS}")
    feeder = feed()
    pid = number_in(tmp_path / "pid")
    feeder.kill()
    gate.open(1)
    wait_until(lambda: written(limited, 1) > LIMIT, 60)
    os.kill(pid, 0)
    feed()
    assert ends(limited, 1).reason == "output_limit"


def test_a_feeder_killed_after_term_changes_nothing(
    limited: Queue, feed: Feed, environment: dict[str, str], tmp_path: Path
) -> None:
    limited.submit(f"bash -c \"trap '' TERM; echo \\$\\$ > {tmp_path}/deaf; {FLOODS}\"; true")
    first = feed("--grace", "600")
    first.says("ending it")
    shell = limited.job(1).pid
    assert shell is not None
    wait_until(lambda: has_ended(shell))
    first.kill()
    runner = runner_pid(limited, environment)
    assert not has_ended(number_in(tmp_path / "deaf"))
    feed("--grace", "0.5")
    job = ends(limited, 1)
    assert (job.signal, job.reason) == (signal.SIGTERM, "output_limit")
    assert has_ended(number_in(tmp_path / "deaf"))
    assert runner_pid(limited, environment) == runner


@pytest.mark.parametrize(("attempt", "limit"), [(2, "1M"), (1, "none")])
def test_the_next_feeder_ends_what_was_told_to_whatever_its_own_limit_says(
    limited: Queue, feed: Feed, rqpy: Rqpy, tmp_path: Path, attempt: int, limit: str
) -> None:
    # It writes no more, so its size tells the next feeder nothing, and neither does its shell.
    deaf = f"trap '' TERM; head -c {2 * LIMIT} /dev/zero; echo \\$\\$ > {tmp_path}/deaf; exec sleep 1000"
    limited.submit(f'[ $RQ_ATTEMPT = {attempt} ] || exit 0; bash -c "{deaf}"; true')
    for _ in range(1, attempt):
        assert feed("--until-empty").ends() == 0
        rqpy("resubmit", "1", queue=limited.path, check=True)
    first = feed("--grace", "600")
    first.says("ending it")
    pid, shell = number_in(tmp_path / "deaf"), limited.job(1).pid
    assert shell is not None
    wait_until(lambda: has_ended(shell))
    first.kill()
    assert not has_ended(pid)
    rqpy("configure", f"output_limit={limit}", queue=limited.path, check=True)
    feed("--grace", "0.5")
    job = ends(limited, 1)
    assert (job.attempt, job.signal, job.reason) == (attempt, signal.SIGTERM, "output_limit")
    assert has_ended(pid)


def test_what_an_earlier_attempt_wrote_is_not_held_against_the_next_one(
    queue: Queue, feed: Feed, rqpy: Rqpy
) -> None:
    command = f"[ $RQ_ATTEMPT = 2 ] || head -c {2 * LIMIT} /dev/zero"
    queue.submit(command, stdin=b"x")
    # Of this one, which sends its stderr elsewhere, only its size tells that it writes itself.
    queue.submit(command.replace("|| head", f"&& {{ exec 2>/dev/null; {FLOODS}; }} || head"))
    assert feed("--until-empty").ends() == 0
    rqpy("configure", "output_limit=1M", queue=queue.path, check=True)
    rqpy("resubmit", "1", "2", queue=queue.path, check=True)
    # Its shell waits for its stdin, and so has not opened its stdout anew.
    stdin = queue.dir.stream("stdin", 1)
    stdin.unlink()
    os.mkfifo(stdin)
    feeder = feed("--max-feed", "2")
    assert ends(queue, 2).reason == "output_limit"
    queue.submit(FLOODS)
    assert ends(queue, 3).reason == "output_limit"  # by now the first job was looked at more than once
    assert (queue.job(1).state, written(queue, 1)) == (State.RUNNING, 2 * LIMIT)
    assert "job 1: its output" not in feeder.log
    os.close(os.open(stdin, os.O_WRONLY))  # it goes on
    one = ends(queue, 1)
    assert (one.exit_status, one.attempt, one.reason) == (0, 2, None)


def test_a_second_attempt_that_wrote_all_before_anybody_looked_is_ended(
    queue: Queue, feed: Feed, gate: Gate, rqpy: Rqpy, tmp_path: Path
) -> None:
    # As much as the first one wrote, and nothing after that.
    queue.submit(f"head -c {2 * LIMIT} /dev/zero; [ $RQ_ATTEMPT = 1 ] || {{ {gate.command}; }}")
    assert feed("--until-empty").ends() == 0
    rqpy("resubmit", "1", queue=queue.path, check=True)
    first = feed()
    gate.reached(1, 2)
    first.kill()
    rqpy("configure", "output_limit=1M", queue=queue.path, check=True)
    feed()
    job = ends(queue, 1)
    assert (job.attempt, job.signal, job.reason) == (2, signal.SIGTERM, "output_limit")


def test_it_looks_only_where_there_is_a_limit_and_a_job(queue: Queue) -> None:
    ours, runner = socket.socketpair()
    client = RunnerClient(ours)  # which would be sent something where a job was to be ended
    with runner:
        for limit, running, looks in (
            ("none", [Key(1, 1, "t")], False),
            ("1M", [], False),
            ("1M", [Key(1, 1, "t")], True),
        ):
            queue.configure({"output_limit": limit})
            output = OutputLimit(queue, Ladder(queue.path, 1))
            output.enforce(client, running)
            assert (output.at < math.inf) == looks
        client.close()
        assert runner.recv(1) == b""


def test_the_size_of_a_file_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert size_of(path) == 0, "not there"
    with path.open("wb", buffering=0) as file:
        for size in (1, 4096, 5 * 1024**3):
            file.truncate(size)
            assert size_of(path) == size
    assert size_of(tmp_path / "file" / "beneath") == 0


#: A program that is forbidden statx(2), as by a container whose filter does not know it; says a file's size.
FORBIDDEN = """
import ctypes, pathlib, platform, struct, sys
number = {"x86_64": 332, "aarch64": 291}[platform.machine()]
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 1), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, program) == 0, ctypes.get_errno()  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
assert libc.syscall(number, -100, b"/", 0, 0x200, code) == -1
assert ctypes.get_errno() == 1  # EPERM
from rq_py.feeder.filesize import size_of
print(size_of(sys.argv[1]), size_of(sys.argv[1] + ".not"))
"""


@pytest.mark.skipif(platform.machine() not in {"x86_64", "aarch64"}, reason="NOT TESTED: statx's number")
def test_the_size_where_statx_is_forbidden(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 4097)
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN, path], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("4097 0\n", "")
