"""Jobs that go to the limits, or try to leave them: the runner stays as it was, and the next job runs."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit

import pytest

from rq_py import Job, Queue, State
from rq_py.formats.jobspec import MAX_ENV_BYTES, MAX_VARIABLE_BYTES
from rq_py.runner.identity import PARENT, STATE, stat_fields
from tests.conftest import Rqpy
from tests.feeder.census import census_of
from tests.feeder.conftest import Feed, Gate, becomes, has_ended, number_in
from tests.feeder.pair import Pair
from tests.waiting import wait_until

DESCRIPTORS = 10_000
SLOTS = 2
LINES = 1_000_000

#: What a job does, and how it ends: with an exit status, or by a signal where that is below 0.
HARD = {
    "it closes its streams": ("exec <&- >&- 2>&-; echo lost; exit 3", 3),
    "it has no descriptors left": ("ulimit -n 3; echo lost > /dev/null; exit 4", 4),
    "it may write nothing": ("ulimit -f 0; echo lost; exit 3", -signal.SIGXFSZ),
    "it fills a device": ("exec >/dev/full; seq 100000 || exit 6", 6),
    "it crashes": ("kill -SEGV $$", -signal.SIGSEGV),
    "it kills its process group": ("sleep 1000 & sleep 1000 & kill -KILL 0; wait", -signal.SIGKILL),
    "it tells its process group to end": ("sleep 1000 & kill -TERM 0; wait", -signal.SIGTERM),
    "it replaces its shell": ("exec sh -c 'kill -HUP $$'", -signal.SIGHUP),
    "it leaves orphans": ("for i in $(seq 300); do (setsid true &); done; exit 7", 7),
    "it leaves zombies": ("for i in $(seq 300); do true & done; exec sleep 0.2", 0),
    "it reads a stdin that it does not have": ("cat; exit 8", 8),
    "it ignores what it can": ("trap '' TERM HUP INT CHLD PIPE; kill $$; kill -HUP 0; exit 9", 9),
}


@pytest.fixture
def pair(queue: Queue, feed: Feed, environment: dict[str, str]) -> Pair:
    """A feeder and a runner at work."""
    return Pair(queue, feed("--max-feed", str(SLOTS)), SLOTS, environment)


@pytest.mark.parametrize("what", HARD)
def test_a_job_hurts_nobody_else(pair: Pair, what: str) -> None:
    command, end = HARD[what]
    job = pair.run(command)
    assert (job.exit_status, job.signal) == ((end, None) if end >= 0 else (None, -end))
    pair.is_unhurt()


def test_a_million_lines(pair: Pair) -> None:
    job = pair.run(f"seq {LINES}; seq {LINES} >&2; exit 3")
    assert job.exit_status == 3
    for name in ("stdout", "stderr"):
        text = pair.queue.stream(job.jid, name).read_text()
        assert text.count("\n") == LINES
        assert text.endswith(f"\n{LINES}\n")
    pair.is_unhurt()


def test_daemons_run_on_and_are_reaped_when_they_end(pair: Pair, tmp_path: Path) -> None:
    daemon = f"(setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >> {tmp_path}/pids)"
    assert pair.run(f"for i in $(seq 50); do {daemon}; done; exit 3").exit_status == 3
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 50
    parents = {int(fields[PARENT]) for pid in pids if (fields := stat_fields(pid))}
    assert parents == {pair.runner}, "it is their reaper"
    assert pair.run("exit 4").exit_status == 4
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    pair.is_unhurt()


def test_what_keeps_a_jobs_streams_open_keeps_nothing_else(pair: Pair, tmp_path: Path) -> None:
    left = f"(sleep 1000; cat) & echo $! > {tmp_path}/left"
    jid = pair.queue.submit(f"read line; echo $line; {left}; exit 3", stdin=b"first\nsecond\n", cwd="/").jid
    assert pair.ended(jid).exit_status == 3
    assert pair.queue.stream(jid, "stdout").read_text() == "first\n"
    pid = number_in(tmp_path / "left")
    assert not has_ended(pid)
    assert pair.run("exit 4").exit_status == 4
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    pair.is_unhurt()


def test_ten_thousand_descriptors(pair: Pair, gate: Gate) -> None:
    hard = getrlimit(RLIMIT_NOFILE)[1]
    if hard < DESCRIPTORS + 100:
        pytest.skip(
            f"NOT TESTED: the hard limit of open files is {hard}, a job needs {DESCRIPTORS + 100} here"
        )
    opens = (
        "import os, resource as r; "
        f"r.setrlimit(r.RLIMIT_NOFILE, ({hard}, {hard})); "
        f"held = [os.open('/dev/null', os.O_RDONLY) for _ in range({DESCRIPTORS})]; "
        "print(len(os.listdir('/proc/self/fd')) - 4, flush=True); "  # 0, 1, 2 and the folder itself
        f"os.system('''{gate.command}''')"
    )
    jid = pair.queue.submit(f"'{sys.executable}' -c \"{opens.replace('$', chr(92) + '$')}\"", cwd="/").jid
    wait_until(lambda: pair.queue.dir.stream("stdout", jid).exists())
    wait_until(lambda: pair.queue.stream(jid, "stdout").read_text() == f"{DESCRIPTORS}\n", 60)
    assert pair.run("exit 4").exit_status == 4
    gate.open(jid)
    assert pair.ended(jid).exit_status == 0
    pair.is_unhurt()


def test_a_job_that_stops_itself_goes_on_when_it_is_told_to(pair: Pair) -> None:
    jid = pair.queue.submit("kill -STOP $$; exit 3", cwd="/").jid
    pid = becomes(pair.queue, jid, State.RUNNING).pid
    assert pid is not None
    wait_until(lambda: (fields := stat_fields(pid)) is not None and fields[STATE] == "T", 60)
    assert pair.run("exit 4").exit_status == 4
    os.kill(pid, signal.SIGCONT)
    assert pair.ended(jid).exit_status == 3
    pair.is_unhurt()


def test_a_stop_ends_what_has_stopped_itself_and_what_ignores_term(
    pair: Pair, rqpy: Rqpy, feed: Feed, environment: dict[str, str], tmp_path: Path
) -> None:
    queue = pair.queue
    stopped = queue.submit(f"sleep 1000 & echo $! > {tmp_path}/child; kill -STOP 0; exit 3", cwd="/").jid
    deaf = queue.submit(f"trap '' TERM; echo $$ > {tmp_path}/deaf; while :; do sleep 1; done", cwd="/").jid
    pids = [number_in(tmp_path / name) for name in ("child", "deaf")]
    wait_until(lambda: (fields := stat_fields(pids[0])) is not None and fields[STATE] == "T", 60)
    rqpy("stop", "--grace", "0.5", queue=queue.path, check=True)
    ends = [(queue.job(jid).state, queue.job(jid).reason) for jid in (stopped, deaf)]
    assert ends == [(State.DEAD, "stopped")] * 2
    assert all(has_ended(pid) for pid in pids)
    assert pair.feeder.ends() == 0
    wait_until(lambda: has_ended(pair.runner), 60)
    Pair(queue, feed("--max-feed", str(SLOTS)), SLOTS, environment).is_unhurt()


# --- environments ----------------------------------------------------------------------------------------


def submit_with(rqpy: Rqpy, queue: Queue, env: dict[str, str], command: str) -> Job | str:
    """Submit a job with these variables as YAML (JSON is YAML); the job, or the one line of refusal."""
    text = "---\n" + json.dumps([{"command": command, "env": env, "cwd": "/"}])
    done = rqpy("submit", "--quiet", "-", queue=queue.path, stdin=text)
    if done.returncode:
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        return done.stderr
    return max(queue.jobs(), key=lambda job: job.jid)


#: How the variables look whose sizes the job is to find, in its shell and in a program that it starts.
ENVIRONMENTS = {
    "one variable of 100 KB": {"A": "x" * 100_000},
    "50 KB of quotes": {"A": "'" * 50_000},
    "100 KB of what has three bytes": {"A": "\u20ac" * 33_333},
    "the longest variable": {"A": "x" * (MAX_VARIABLE_BYTES - 2)},
    "a thousand variables": {f"A{n}": "x" * 100 for n in range(1000)},
    "600 KB": {f"A{n}": "x" * 100_000 for n in range(6)},
}
SIZES = "env -0 | tr '\\0' '\\n' | grep -a '^A[0-9]*=' | tr -d '\\n' | wc -c"


@pytest.mark.parametrize("what", ENVIRONMENTS)
def test_a_large_environment_reaches_the_job(pair: Pair, rqpy: Rqpy, what: str) -> None:
    env = ENVIRONMENTS[what]
    job = submit_with(rqpy, pair.queue, env, SIZES)
    assert isinstance(job, Job), job
    assert pair.ended(job.jid).exit_status == 0
    size = sum(len(f"{name}={value}".encode()) for name, value in env.items())
    assert int(pair.queue.stream(job.jid, "stdout").read_text()) == size
    pair.is_unhurt()


def test_what_no_program_could_be_given_is_refused(pair: Pair, rqpy: Rqpy) -> None:
    for env, why in (
        ({"A": "x" * (MAX_VARIABLE_BYTES - 1)}, f"A: is longer than {MAX_VARIABLE_BYTES} bytes"),
        ({f"A{n}": "x" * 100_000 for n in range(11)}, f"at most {MAX_ENV_BYTES} fit"),
    ):
        refusal = submit_with(rqpy, pair.queue, env, "true")
        assert isinstance(refusal, str)
        assert why in refusal
    pair.is_unhurt()


def test_as_many_variables_as_a_submit_takes_are_run_or_refused_with_a_reason(pair: Pair, rqpy: Rqpy) -> None:
    each = MAX_ENV_BYTES // 16
    job = submit_with(rqpy, pair.queue, {f"A{n:02}": "x" * (each - 4) for n in range(16)}, SIZES)
    assert isinstance(job, Job), job
    assert pair.ended(job.jid).exit_status == 126
    said = pair.queue.stream(job.jid, "stderr").read_text()
    assert said.startswith(f"rqpy: job {job.jid}: it needs a script of ")
    assert said.count("\n") == 1
    pair.is_unhurt()


def test_variables_that_are_too_many_here_fail_the_program_and_nothing_else(pair: Pair, rqpy: Rqpy) -> None:
    # A program's arguments and variables may have a quarter of its stack, execve(2).
    command = "ulimit -Ss 512; /bin/echo lost; echo $?"
    job = submit_with(rqpy, pair.queue, ENVIRONMENTS["600 KB"], command)
    assert isinstance(job, Job), job
    assert pair.ended(job.jid).exit_status == 0
    assert pair.queue.stream(job.jid, "stdout").read_text() == "126\n"
    assert "Argument list too long" in pair.queue.stream(job.jid, "stderr").read_text()
    assert census_of(pair.runner).zombies == 0
    pair.is_unhurt()
