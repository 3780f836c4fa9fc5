"""``rqpy submit``: every way in, and nothing changed where the input is not valid."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from rq_py import Queue
from rq_py.job import Job
from tests.conftest import Rqpy, command_line


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    return Queue.create(queue_path)


def jobs(queue: Queue) -> list[Job]:
    return list(queue.jobs())


def commands(queue: Queue) -> list[str]:
    return [job.command for job in queue.jobs()]


def test_a_command_as_arguments(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    done = rqpy("submit", "-p9", "--tag", "x", "ls", "-la", "a b", queue=queue.path)
    assert (done.returncode, done.stderr) == (0, "")
    (printed,) = yaml.safe_load(done.stdout)
    (job,) = jobs(queue)
    assert printed["jid"] == job.jid == 1
    assert printed["command"] == job.command == "ls -la a b"
    assert (job.priority, job.tag, job.cwd, job.state) == (9, "x", str(tmp_path), "pending")


def test_every_option_reaches_the_job(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\0input\xff")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("x")
    options = ["--priority=-5", "--tag=t", "--runner", "node", "--restartable", "--stage", "--stdin", "in"]
    options += ["--data", "data", "--cwd", "sub/../dir", "--env", "A=b=c", "--env", "HERE", "--quiet"]
    done = rqpy("submit", *options, "cat", queue=queue.path, env={"HERE": "é"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (job,) = jobs(queue)
    assert (job.priority, job.tag, job.required_runner, job.restartable) == (-5, "t", "node", True)
    assert (job.state, job.cwd) == ("holding", str(tmp_path / "dir"))
    assert yaml.safe_load(job.env or "") == {"A": "b=c", "HERE": "é"}
    assert queue.stream(1, "stdin").read_bytes() == b"\0input\xff"
    assert (queue.dir.data(1) / "file").read_text() == "x"


def test_lines_from_stdin_and_from_a_file(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    text = "one\n\n# no job\n  two # with a comment\nthree"
    (tmp_path / "joblist").write_text(text)
    for arguments, stdin in (([], text), (["-"], text), (["--infile=joblist"], ""), (["-i", "-"], text)):
        done = rqpy("submit", *arguments, queue=queue.path, stdin=stdin)
        assert [job["command"] for job in yaml.safe_load(done.stdout)] == [
            "one",
            "  two # with a comment",
            "three",
        ]
    assert len(jobs(queue)) == 12


def test_options_override_what_yaml_says(rqpy: Rqpy, queue: Queue) -> None:
    text = "---\n- {command: a, priority: 1, tag: x, env: {A: 1, B: 2}, cwd: /x}\n- command: 42\n"
    rqpy("submit", "-p7", "--env", "B=3", "--restartable", queue=queue.path, stdin=text, check=True)
    first, second = jobs(queue)
    assert (first.priority, first.tag, first.env, first.cwd) == (7, "x", '{"A": "1", "B": "3"}', "/x")
    assert (second.priority, second.tag, second.env, second.command) == (7, None, '{"B": "3"}', "42")
    assert first.restartable
    assert second.restartable


def test_a_listing_can_be_submitted_again(rqpy: Rqpy, queue: Queue) -> None:
    awkward = [
        "echo 'a: b' # \"c\"",
        "-x\ty",
        "for x in 1 2\ndo\n  echo $x\ndone",
        "日本 \u2028 \x1b[1m",
        "42",
    ]
    document = yaml.safe_dump([{"command": command, "tag": command.split()[0]} for command in awkward])
    rqpy("submit", queue=queue.path, stdin=f"---\n{document}", check=True)
    rqpy("submit", "--stdin=-", "cat", queue=queue.path, stdin=b"\0\xff", check=True)
    listing = rqpy("list", queue=queue.path, check=True).stdout
    rqpy("submit", "-", queue=queue.path, stdin=listing, check=True)
    old, new = jobs(queue)[:6], jobs(queue)[6:]
    assert commands(queue) == [*awkward, "cat"] * 2
    assert [job.tag for job in old] == [job.tag for job in new]
    assert queue.stream(12, "stdin").read_bytes() == b"\0\xff"


def test_stdin_of_the_job_from_stdin(rqpy: Rqpy, queue: Queue) -> None:
    rqpy("submit", "cat", "--stdin=-", queue=queue.path, stdin=b"bytes", check=True)
    assert queue.stream(1, "stdin").read_bytes() == b"bytes"


def test_output_and_fields(rqpy: Rqpy, queue: Queue) -> None:
    done = rqpy("submit", "-o", "jsonl", "-f", "jid,command", "true", queue=queue.path, check=True)
    assert done.stdout == '{"jid": 1, "command": "true"}\n'


def test_the_whole_environment(rqpy: Rqpy, queue: Queue) -> None:
    environment = {"MINE": "x y", "RQ_JID": "7", "BASH_FUNC_f%%": "() { :; }", "LATIN": "\udce9"}
    rqpy("submit", "--env-all", "--env", "LANG=de", "env", queue=queue.path, env=environment, check=True)
    env: dict[str, Any] = yaml.safe_load(jobs(queue)[0].env or "")
    assert env["MINE"] == "x y"
    assert env["LANG"] == "de"
    assert "PATH" in env
    assert not env.keys() & {"RQ_JID", "RQ_NODE", "PWD", "BASH_FUNC_f%%", "LATIN"}


def test_the_directory_is_the_one_that_the_shell_shows(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    rqpy.cwd = tmp_path / "link"
    for pwd in (tmp_path / "link", tmp_path / "elsewhere"):
        rqpy("submit", "-q", "true", queue=queue.path, env={"PWD": str(pwd)}, check=True)
    assert [job.cwd for job in jobs(queue)] == [str(tmp_path / "link"), str(tmp_path / "real")]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n", "--- []\n"])
def test_no_commands(rqpy: Rqpy, queue: Queue, text: str) -> None:
    done = rqpy("submit", queue=queue.path, stdin=text)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "rqpy: stdin: no commands, nothing was submitted\n"
    assert jobs(queue) == []


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        ([], "---\n- command: a\n- priority: 3\n", "stdin line 3: the job has no command"),
        ([], "---\n- command: a\n  colour: red\n", "stdin line 2: 'colour' is no field of a job"),
        ([], "---\n- {command: a, priority: high}\n", "priority: 'high' is not a whole number"),
        ([], "---\n- {command: a, stdin: /etc/passwd}\n", "is not stdin/JID of the same queue"),
        ([], "---\n- command: 'a\n", "stdin line 3: is not YAML"),
        ([], '[{"command": "a"}]', "stdin line 1: looks like JSON"),
        ([], "good\n" * 5000 + "x" * 70000, "stdin line 5001: the command is longer than 65536 bytes"),
        ([], b"good\nb\0d\n", "stdin line 2: holds a NUL byte"),
        ([], b"good\nb\xffd\n", "stdin line 2: is not valid UTF-8"),
        (["-p", "high", "a"], "", "Invalid value for '--priority'"),
        (["-p", "9223372036854775808", "a"], "", "option: priority: 9223372036854775808 does not fit"),
        (["-t", "a\nb", "a"], "", "option: tag: 'a\\nb' holds a NUL byte or a newline"),
        (["--env", "1A=x", "a"], "", "--env '1A=x': is not NAME or NAME=VALUE"),
        (["--env", "NOT_SET", "a"], "", "--env NOT_SET: is not set in your environment"),
        (["--fields", "nope", "a"], "", "nope: no such field"),
        (["--output", "xml", "a"], "", "'xml' is not one of"),
        (["--infile", "nowhere"], "", "nowhere: No such file or directory"),
        (["--infile", "."], "", ".: Is a directory"),
        (["--infile", "x", "a"], "", "give either --infile or a command"),
        (["--stdin=-"], "a", "stdin cannot be both"),
        (["--stdin=nowhere", "cat"], "", "nowhere: No such file or directory"),
        (["--data=nowhere", "cat"], "", "nowhere: No such file or directory"),
        (["  "], "", "the command is blank"),
        (["x" * 65537], "", "the command has 65537 bytes, at most 65536 fit"),
        (["a\udcff"], "", "the command is not valid UTF-8"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_is_one_line_and_changes_nothing(
    rqpy: Rqpy, queue: Queue, arguments: list[str], stdin: str | bytes, message: str
) -> None:
    done = rqpy("submit", *arguments, queue=queue.path, stdin=stdin)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("rqpy: ")
    assert jobs(queue) == []
    assert [path for kind in ("stdin", "data") for path in (queue.path / kind).iterdir()] == []


def test_the_default_queue_is_made_on_first_use(rqpy: Rqpy, tmp_path: Path) -> None:
    assert rqpy("list").returncode == 1
    data = tmp_path / "share"
    rqpy("submit", "-q", "true", env={"XDG_DATA_HOME": str(data)}, check=True)
    assert [job.command for job in Queue(data / "rqpy" / "queue").jobs()] == ["true"]
    assert "command" in rqpy("list", env={"XDG_DATA_HOME": str(data)}, check=True).stdout


def test_on_a_terminal_it_says_that_it_reads_commands(queue: Queue, environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command_line(queue.path, "submit", "--quiet"),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        os.close(theirs)
        assert process.stderr is not None
        assert process.stderr.readline() == (
            b"rqpy: reading commands from the terminal, one per line; end with Ctrl-D\n"
        )
        os.write(ours, b"echo typed\n\x04")
        assert process.wait(timeout=30) == 0
    os.close(ours)
    assert commands(queue) == ["echo typed"]


def test_a_slow_writer_holds_no_lock(queue: Queue, environment: dict[str, str], rqpy: Rqpy) -> None:
    with subprocess.Popen(
        command_line(queue.path, "submit", "--quiet"), stdin=subprocess.PIPE, env=environment
    ) as slow:
        assert slow.stdin is not None
        # More than a pipe holds (pipe(7)): when this returns, the submit is reading.
        slow.stdin.write(b"# a comment\n" * 20_000 + b"slow\n")
        slow.stdin.flush()
        rqpy("submit", "--timeout=5", "quick", queue=queue.path, check=True)
        assert commands(queue) == ["quick"]
        slow.stdin.close()
        assert slow.wait(timeout=30) == 0
    assert commands(queue) == ["quick", "slow"]


def test_options_that_say_no_override_the_input_and_the_environment(rqpy: Rqpy, queue: Queue) -> None:
    listing = b"---\n- command: one\n  restartable: true\n- command: two\n"
    rqpy("submit", "-q", "-", queue=queue.path, stdin=listing, check=True)
    rqpy("submit", "-q", "--no-restartable", "-", queue=queue.path, stdin=listing, check=True)
    rqpy("submit", "-q", "--restartable", "-", queue=queue.path, stdin=listing, check=True)
    env = {"RQ_OPTS": "--restartable"}
    rqpy("submit", "-q", "--no-restartable", "three", queue=queue.path, env=env, check=True)
    found = [job.restartable for job in queue.jobs()]
    assert found == [True, False, False, False, True, True, False]


def test_an_empty_stdin_or_data_is_none(rqpy: Rqpy, queue: Queue) -> None:
    rqpy("submit", "-q", "--stdin=", "--data=", "true", queue=queue.path, check=True)
    assert (queue.job(1).has_stdin, queue.job(1).has_data) == (False, False)
