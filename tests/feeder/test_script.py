"""The job's script, executed by real shells in the way in which the runner does it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rq_py.feeder import script
from rq_py.job import MAX_COMMAND_BYTES, Job, State
from rq_py.queuedir import QueueDir

SHELLS = (["dash"], ["bash"], ["bash", "--posix"])
BOOT = "read -r go <&3 && . /proc/self/fd/4"

JOB = Job(
    jid=7,
    priority=3,
    state=State.RUNNING,
    submitted="2026-11-20 15:06:49.514387Z",
    started="2026-11-20 15:06:50.000001Z",
    finished=None,
    elapsed=None,
    submitter="redfish",
    runner="bluefish",
    required_runner=None,
    has_stdin=False,
    has_data=False,
    pid=4242,
    exit_status=None,
    signal=None,
    reason=None,
    attempt=1,
    user_cpu=None,
    system_cpu=None,
    max_rss=None,
    tag=None,
    restartable=False,
    cwd="/",
    env=None,
    command="true",
    token="0123456789abcdef.0123456789abcdef",  # noqa: S106
    feeder="bluefish.1000",
)


def place_at(path: Path, umask: int | None = 0o022) -> script.Place:
    for name in ("stdin", "stdout", "stderr", "data", "bin"):
        (path / name).mkdir(parents=True, exist_ok=True)
    return script.Place(QueueDir(path), "bluefish", "/opt/rqpy", stream_umask=0o077, umask=umask)


def execute(shell: list[str], text: str, early: Path | None = None) -> int:
    """Run ``text`` as the runner's ready shells do; its exit status. ``early`` gets what is said first."""
    memory = os.memfd_create("script", os.MFD_CLOEXEC)
    os.write(memory, os.fsencode(text))
    go, tell = os.pipe()
    null = os.open(early or "/dev/null", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)
    high = [os.dup(descriptor) for descriptor in (go, memory, null)]
    os.write(tell, b"go\n")
    os.close(tell)
    pid = os.posix_spawnp(
        shell[0],
        [*shell, "-c", BOOT],
        {"PATH": os.environ["PATH"], "HOME": "/"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, high[2], 2),
            (os.POSIX_SPAWN_DUP2, high[0], 3),
            (os.POSIX_SPAWN_DUP2, high[1], 4),
        ],
    )
    for descriptor in (go, memory, null, *high):
        os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(shell: list[str], job: Job, place: script.Place) -> tuple[int, str, str]:
    status = execute(shell, script.for_launch(job, place))
    out, err = (place.queue.stream(name, job.jid).read_bytes() for name in ("stdout", "stderr"))
    return status, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "surrogateescape")


@pytest.fixture(params=SHELLS, ids=" ".join)
def shell(request: pytest.FixtureRequest) -> list[str]:
    return list(request.param)


@pytest.mark.parametrize(
    ("command", "status"), [("true", 0), ("exit 3", 3), ("false", 1), ("(exit 255)", 255)]
)
def test_the_exit_status_is_the_commands(shell: list[str], tmp_path: Path, command: str, status: int) -> None:
    assert run(shell, JOB._replace(command=command), place_at(tmp_path / "q"))[0] == status


def test_a_command_survives_every_character(shell: list[str], tmp_path: Path) -> None:
    text = "".join(map(chr, range(1, 127))) + "'\"\\$`é€😀\n\n-"
    job = JOB._replace(command=f"printf %s {script.quote(text)}")
    assert run(shell, job, place_at(tmp_path / "q")) == (0, text, "")


def test_a_command_that_begins_with_a_dash_is_no_option(shell: list[str], tmp_path: Path) -> None:
    place = place_at(tmp_path / "q")
    program = place.queue.bin / "-n"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)
    assert run(shell, JOB._replace(command="-n"), place) == (0, "ran\n", "")


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40))
def test_any_text_is_one_word(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        job = JOB._replace(command=f"printf %s {script.quote(text)}")
        assert run(["dash"], job, place_at(Path(folder))) == (0, text, "")


def test_a_queue_path_may_hold_anything(shell: list[str], tmp_path: Path) -> None:
    queue = tmp_path / "a b'c\"d\n$e`f\\g\udcff"
    status, out, err = run(shell, JOB._replace(command='printf %s "$RQ_Q"'), place_at(queue))
    assert (status, out, err) == (0, str(queue), "")


def test_the_command_is_several_lines(shell: list[str], tmp_path: Path) -> None:
    job = JOB._replace(command="for i in 1 2\ndo echo $i # not a comment of ours\ndone\n")
    assert run(shell, job, place_at(tmp_path / "q")) == (0, "1\n2\n", "")


def test_a_missing_directory_is_126_with_the_reason_on_stderr(shell: list[str], tmp_path: Path) -> None:
    status, out, err = run(shell, JOB._replace(cwd="/no/such dir"), place_at(tmp_path / "q"))
    assert (status, out) == (126, "")
    assert "rqpy: job 7: cannot start in /no/such dir on bluefish" in err


def test_a_relative_directory_is_refused(shell: list[str], tmp_path: Path) -> None:
    status, _, err = run(shell, JOB._replace(cwd="-"), place_at(tmp_path / "q"))
    assert status == 126
    assert "not an absolute path" in err


def test_streams_that_cannot_be_opened_are_126_and_nothing_runs(shell: list[str], tmp_path: Path) -> None:
    place = place_at(tmp_path / "q")
    (tmp_path / "q" / "stdout").rmdir()
    text = script.for_launch(JOB._replace(command=f"touch {tmp_path}/ran"), place)
    assert execute(shell, text, tmp_path / "early") == 126
    assert "stdout/7" in (tmp_path / "early").read_text()
    assert not (tmp_path / "ran").exists()


def test_stdin_is_the_jobs(shell: list[str], tmp_path: Path) -> None:
    place = place_at(tmp_path / "q")
    place.queue.stream("stdin", 7).write_bytes(b"given\n")
    assert run(shell, JOB._replace(command="cat"), place)[1] == ""
    assert run(shell, JOB._replace(command="cat", has_stdin=True), place)[1] == "given\n"


def test_streams_get_the_queues_mode_and_the_job_the_users_umask(shell: list[str], tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        for umask in (0o027, None):
            place = place_at(tmp_path / str(umask), umask)
            _, out, _ = run(shell, JOB._replace(command="umask; echo ${rq_umask-unset}"), place)
            assert out.split() == ["0027" if umask else "0022", "unset"]
            for name in ("stdout", "stderr"):
                assert stat.S_IMODE(place.queue.stream(name, 7).stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_no_descriptor_of_ours_leaks_into_the_job(shell: list[str], tmp_path: Path) -> None:
    mine = {int(name) for name in os.listdir("/proc/self/fd")}
    inherited = {fd for fd in mine if fd > 4 and _is_inheritable(fd)}
    _, out, _ = run(shell, JOB._replace(command="ls /proc/self/fd"), place_at(tmp_path / "q"))
    # ls itself has one open: the folder that it lists.
    assert len(set(map(int, out.split())) - inherited - {0, 1, 2}) == 1


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


def test_the_environment_is_complete(shell: list[str], tmp_path: Path) -> None:
    place = place_at(tmp_path / "q")
    handed_over = {"GREETING": "hello\nworld's", "PATH": "/usr/bin:/bin", "RQ_NODE": "elsewhere", "UID": "0"}
    job = JOB._replace(
        command="env -0", tag="a b", has_data=True, restartable=True, env=json.dumps(handed_over)
    )
    status, out, err = run(shell, job, place)
    assert (status, err) == (0, "")
    variables = dict(entry.split("=", 1) for entry in out.split("\0") if entry)
    q = str(tmp_path / "q")
    expected = {
        "RQ": "/opt/rqpy",
        "RQ_Q": q,
        "RQ_JID": "7",
        "RQ_PRIORITY": "3",
        "RQ_STATE": "running",
        "RQ_SUBMITTED": JOB.submitted,
        "RQ_STARTED": str(JOB.started),
        "RQ_SUBMITTER": "redfish",
        "RQ_RUNNER": "bluefish",
        "RQ_STDOUT": f"{q}/stdout/7",
        "RQ_STDERR": f"{q}/stderr/7",
        "RQ_DATA": f"{q}/data/7",
        "RQ_PID": "4242",
        "RQ_ATTEMPT": "1",
        "RQ_TAG": "a b",
        "RQ_RESTARTABLE": "true",
        "RQ_CWD": "/",
        "RQ_ENV": json.dumps(handed_over),
        "RQ_COMMAND": "env -0",
    }
    document = variables.pop("RQ_JOB")
    assert {name: text for name, text in variables.items() if name.startswith("RQ")} == expected
    assert variables["GREETING"] == "hello\nworld's"
    assert variables["PATH"] == f"{q}/bin:/usr/bin:/bin"
    assert "go" not in variables
    (listed,) = yaml.safe_load(document)
    assert (listed["jid"], listed["command"], listed["tag"]) == (7, "env -0", "a b")


def test_a_command_of_the_greatest_length_is_still_executed(shell: list[str], tmp_path: Path) -> None:
    for filler in ("'", '"', "\n", "é", "😀"):
        tail = filler * ((MAX_COMMAND_BYTES - 40) // len(filler.encode()))
        job = JOB._replace(command=f"env printf %s $RQ_JID # {tail if filler != chr(10) else ''}")
        assert run(shell, job, place_at(tmp_path / "q")) == (0, "7", "")


def test_variables_that_linux_would_refuse_are_left_out(shell: list[str], tmp_path: Path) -> None:
    big = json.dumps({"BIG": "x" * 200_000, "SMALL": "y"})
    job = JOB._replace(command="env | cut -c1-20 | grep -c -e ^RQ_ENV= -e ^BIG=; echo $SMALL", env=big)
    assert run(shell, job, place_at(tmp_path / "q")) == (0, "0\ny\n", "")


@pytest.mark.parametrize("env", ["no JSON", "[1]", '{"A": 1}', pytest.param("[" * 99_999, id="deep")])
def test_a_row_that_somebody_broke_comes_to_an_end(shell: list[str], tmp_path: Path, env: str) -> None:
    status, out, err = run(shell, JOB._replace(env=env), place_at(tmp_path / "q"))
    assert (status, out) == (126, "")
    assert "its env is not a JSON object" in err


def test_a_script_that_no_message_could_carry_says_so(tmp_path: Path) -> None:
    env = json.dumps({f"V{number}": "x" * 100_000 for number in range(12)})
    status, _, err = run(["bash"], JOB._replace(env=env), place_at(tmp_path / "q"))
    assert status == 126
    assert "hand over fewer variables" in err


def test_without_a_program_rq_is_not_set(tmp_path: Path) -> None:
    place = replace(place_at(tmp_path / "q"), program="")
    assert run(["dash"], JOB._replace(command="echo ${RQ-unset}"), place)[1] == "unset\n"


def test_the_script_is_what_the_shell_would_check(shell: list[str], tmp_path: Path) -> None:
    text = script.for_launch(JOB, place_at(tmp_path / "q"))
    done = subprocess.run([*shell, "-n"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
