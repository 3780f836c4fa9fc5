"""``Q/bin/rqmailer``: it runs a command, keeps its streams and exit status, and mails how it ended."""

from __future__ import annotations

import email
import email.policy
import os
import signal
import subprocess
from email.message import EmailMessage
from pathlib import Path

import pytest

from rq_py import Queue
from tests.conftest import Rqpy


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    return Queue.create(queue_path)


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    """The file that gets what a sendmail of this test's own is given."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sendmail").write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/words\ncat >{tmp_path}/sent\n')
    (programs / "sendmail").chmod(0o755)
    return tmp_path / "sent"


def mailer(queue: Queue, sent: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    path = f"{sent.parent / 'programs'}:{os.environ['PATH']}"
    return subprocess.run(
        [queue.path / "bin" / "rqmailer", *words],
        env={"PATH": path, "LANG": "C", "LOGNAME": "me"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


def parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_create_puts_it_where_jobs_find_it(rqpy: Rqpy, queue: Queue, sent: Path) -> None:
    assert (queue.path / "bin" / "rqmailer").stat().st_mode & 0o777 == 0o700
    queue.submit("rqmailer --to me@example.org --dry-run -- sh -c 'cat; exit 3'", stdin=b"hello", tag="t")
    rqpy("feed", "--until-empty", queue=queue.path, check=True)
    job = queue.job(1)
    assert job.exit_status == 3
    printed = queue.stream(1, "stdout").read_bytes()
    assert printed.startswith(b"hello")
    message = parsed(printed[5:])
    assert (message["To"], message["Subject"]) == (
        "me@example.org",
        "[rq] job 1: exit status 3: sh -c 'cat; exit 3'",
    )
    body = message.get_content()
    for line in (f"queue: {queue.path}", "jid: 1", "tag: t", "ended: exit status 3", "hello"):
        assert f"{line}\n" in body


def test_the_mail_is_sent_by_sendmail(queue: Queue, sent: Path) -> None:
    done = mailer(queue, sent, "--subject", "ü\nBcc: x", 'printf "a\\0ü\\r.\\n"; echo oops >&2; exit 4')
    assert (done.returncode, done.stdout, done.stderr) == (4, b"a\0\xc3\xbc\r.\n", b"oops\n")
    message = parsed(sent.read_bytes())
    assert (message["To"], message["Subject"], message["Bcc"]) == ("me", "ü Bcc: x", None)
    assert "a\ufffdü" in message.get_content()
    assert "--- stderr\noops\n" in message.get_content()
    assert sent.with_name("words").read_text() == "-i -t\n"


def test_only_failures_are_mailed_where_one_wants_that(queue: Queue, sent: Path) -> None:
    assert mailer(queue, sent, "--only-failed", "true").returncode == 0
    assert not sent.exists()
    assert mailer(queue, sent, "--only-failed", "false").returncode == 1
    assert sent.exists()


def test_the_end_of_much_output_is_mailed(queue: Queue, sent: Path) -> None:
    done = mailer(queue, sent, "seq 100000")
    assert len(done.stdout) == 588_895
    body = parsed(sent.read_bytes()).get_content()
    assert "bytes before this are not shown]" in body
    assert body.rstrip().endswith("(empty)")
    assert "\n100000\n" in body
    assert len(body) < 70_000


def test_commands_that_cannot_run_and_mails_that_cannot_be_sent(queue: Queue, sent: Path) -> None:
    done = mailer(queue, sent, "no-such-program", "x")
    assert done.returncode == 127
    assert "no-such-program" in sent.read_text()
    (sent.parent / "programs" / "sendmail").write_text("#!/bin/sh\nexit 75\n")
    done = mailer(queue, sent, "exit 5")
    assert (done.returncode, b"sendmail ended with 75" in done.stderr) == (5, True)
    done = mailer(queue, sent, "--sendmail", "no-such-sendmail", "true")
    assert (done.returncode, b"the mail was not sent" in done.stderr) == (0, True)
    assert mailer(queue, sent).returncode == 2


def test_a_command_that_is_ended_by_a_signal_is_mailed(queue: Queue, sent: Path) -> None:
    with subprocess.Popen(
        [queue.path / "bin" / "rqmailer", "--to", "me", "--dry-run", "echo up; exec sleep 600"],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        printed = process.stdout.read()
    assert process.returncode == 128 + signal.SIGTERM
    assert b"Subject: [rq] ended by signal 15 (SIGTERM)" in printed
