"""Every failure is one line on stderr with an exit status; there is never a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rq_py import Queue
from rq_py.cli.failure import describe
from rq_py.cli.printing import print_line
from rq_py.errors import LockTimeout, NotFound
from tests.conftest import Rqpy, command_line
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("error", "line", "status"),
    [
        (NotFound("no job 7"), "no job 7", 1),
        (LockTimeout("busy"), "busy", 75),
        (FileNotFoundError(2, "No such file or directory", "/x"), "/x: No such file or directory", 1),
        (
            OSError(18, "Invalid cross-device link", "/a", None, "/b"),
            "/a and /b: Invalid cross-device link",
            1,
        ),
        (PermissionError(13, "Permission denied", b"/x"), "/x: Permission denied", 1),
        (OSError("odd"), "odd", 1),
        (KeyboardInterrupt(), "interrupted", 130),
        (click.Abort(), "interrupted", 130),
        (SystemExit(3), "", 3),
        (SystemExit(None), "", 0),
        (click.exceptions.Exit(4), "", 4),
        (click.ClickException("odd"), "odd", 1),
        (MemoryError(), "out of memory", 1),
    ],
)
def test_one_line_and_a_status(error: BaseException, line: str, status: int) -> None:
    assert describe(error) == (line, status)


def test_what_nobody_expected_is_one_line_too() -> None:
    line, status = describe(ZeroDivisionError("division by zero"))
    assert line.startswith("internal error: ZeroDivisionError: division by zero")
    assert status == 1


def test_a_message_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("a\nb\x1b[31m\u202e")
    assert capsys.readouterr().err == "rqpy: a b\\x1b[31m\\u202e\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["list", "--nonsense"], 2, "No such option '--nonsense' (see: rqpy help list)"),
        (["list", "--output"], 2, "requires an argument (see: rqpy help list)"),
        (["list", "--timeout=-1"], 2, "(see: rqpy help list)"),
        (["status", "surplus"], 2, "Got unexpected extra argument (surplus) (see: rqpy help status)"),
        (["stdout"], 2, "no job is named: give jids, or a listing on stdin"),
        (["lisst"], 2, "did you mean list?"),
        (["no-queue", "list"], 1, "no such directory, make a queue with: rqpy"),
        (["home", "list"], 1, "not a queue, make one with: rqpy"),
        (["list"], 1, "no queue is named and you have none of your own yet"),
        (["new\nline", "list"], 1, "new line: no such directory"),
    ],
)
def test_wrong_usage(rqpy: Rqpy, arguments: list[str], status: int, message: str) -> None:
    done = rqpy(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_queue_may_come_from_the_environment(rqpy: Rqpy, queue_path: Path, tmp_path: Path) -> None:
    Queue.create(queue_path)
    other = tmp_path / "other"
    Queue.create(other).submit("other")
    assert rqpy("list", env={"RQ_Q": str(queue_path)}, check=True).stdout == "--- []\n"
    assert rqpy("list", env={"RQ_QUEUE": str(queue_path)}, check=True).stdout == "--- []\n"
    assert rqpy("list", env={"RQ_Q": "", "RQ_QUEUE": str(queue_path)}, check=True).stdout == "--- []\n"
    for arguments in ([str(other), "list"], ["list", "--queue", str(other)], ["-Q", str(other), "list"]):
        assert "other" in rqpy(*arguments, env={"RQ_Q": str(queue_path)}, check=True).stdout


#: Runs ``rqpy`` as nobody, who may not be able to read Python's own files: they are loaded before.
AS_NOBODY = """
import os, sys
import rq_py.cli.create, rq_py.cli.failure, rq_py.cli.list, rq_py.cli.submit, rq_py.creation, rq_py.queue
import rq_py.cli.arguments, rq_py.cli.group, rq_py.formats.listing, encodings.utf_8, locale
from rq_py.cli.main import main
os.setgroups([]); os.setgid(65534); os.setuid(65534)
main()
"""


@pytest.mark.root
def test_no_permission(environment: dict[str, str], tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    Queue.create(private / "q")
    tmp_path.chmod(0o755)
    private.chmod(0o700)
    for arguments in (["list"], ["submit", "true"], ["create"]):
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(private / "q"), *arguments],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"rqpy: {private}")
        assert "Permission denied" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_full_disk_under_stdout(environment: dict[str, str], queue_path: Path) -> None:
    Queue.create(queue_path).submit("true")
    for arguments in ([queue_path, "list"], [queue_path, "status"], ["--version"], ["help"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                command_line(*arguments), stdout=full, stderr=subprocess.PIPE, env=environment, check=False
            )
        assert done.returncode == 1
        assert done.stderr == b"rqpy: No space left on device\n"


def test_a_submit_that_cannot_be_printed_says_that_it_was_done(
    environment: dict[str, str], queue_path: Path
) -> None:
    queue = Queue.create(queue_path)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command_line(queue_path, "submit", "true"),
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
    assert done.returncode == 1
    expected = b"rqpy: jobs 1 to 1 were submitted, but cannot be printed: No space left on device\n"
    assert done.stderr == expected
    assert [job.command for job in queue.jobs()] == ["true"]


def test_closed_descriptors(environment: dict[str, str], queue_path: Path) -> None:
    """The database must not become descriptor 1 or 2, into which messages are written."""
    queue = Queue.create(queue_path)
    script = 'exec 0<&- 1>&- 2>&-; exec "$@"'
    for arguments in (["submit", "--quiet", "true"], ["submit", "true"], ["list"]):
        subprocess.run(
            ["bash", "-c", script, "bash", *command_line(queue_path, *arguments)],
            env=environment,
            check=False,
        )
    # Without --quiet there would be nowhere to print the jobs, so none was submitted.
    assert [job.command for job in queue.jobs()] == ["true"]
    assert queue.recover()["integrity"] == "ok"


def test_an_interrupt_ends_it_with_130(environment: dict[str, str], queue_path: Path) -> None:
    queue = Queue.create(queue_path)
    with subprocess.Popen(
        command_line(queue_path, "submit"), stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        # More than a pipe holds (pipe(7)): when this returns, the submit is reading.
        process.stdin.write(b"a command\n" * 20_000)
        process.stdin.flush()

        def interrupted() -> bool:
            process.send_signal(signal.SIGINT)
            return process.poll() is not None

        # A signal just before a read waits for that read to return: as a person does, repeat it.
        wait_until(interrupted, interval=0.5)
        assert process.returncode == 130
        assert process.stderr.read() == b"rqpy: interrupted\n"
        process.stdin.close()
    assert list(queue.jobs()) == []
