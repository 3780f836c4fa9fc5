"""``rqpy tail``: it prints what jobs write as they write it, and ends when they end."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rq_py import Queue
from tests.conftest import Rqpy, command_line


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    return Queue.create(queue_path)


@contextmanager
def tailing(rqpy: Rqpy, queue: Queue, *words: str, stdin: bytes = b"") -> Iterator[subprocess.Popen[bytes]]:
    """``rqpy tail`` at work; killed at the end if it still is."""
    with subprocess.Popen(
        command_line(queue.path, "tail", *words),
        env=rqpy.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdin
            process.stdin.write(stdin)
            process.stdin.close()
            process.stdin = None
            yield process
        finally:
            process.kill()


def test_it_follows_a_job_from_before_its_start_to_its_end(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    queue.submit(f'echo begin; read -r word <{tmp_path}/go; printf %s "$word"', cwd="/")
    with tailing(rqpy, queue, "1") as tail:
        rqpy("start", "--until-empty", "--quiet", queue=queue.path, check=True)
        assert tail.stdout
        assert tail.stdout.readline() == b"begin\n"
        assert tail.poll() is None, "it must wait for the job"
        (tmp_path / "go").write_text("end\n")  # the job reads it only now
        assert tail.stdout.read() == b"end"
        assert tail.wait(20) == 0


def test_lines_of_several_jobs_carry_their_jid(rqpy: Rqpy, queue: Queue) -> None:
    queue.submit("printf 'a\\nb'", cwd="/")
    queue.submit("echo c; echo d >&2", cwd="/")
    queue.submit("true", cwd="/")
    rqpy("feed", "--until-empty", queue=queue.path, check=True)
    assert rqpy("tail", "1", queue=queue.path, check=True).stdout == "a\nb"
    done = rqpy("tail", "1", "2", "3", queue=queue.path, check=True)
    assert sorted(done.stdout.splitlines()) == ["1: a", "1: b", "2: c"]
    listing = rqpy("list", queue=queue.path, check=True).stdout
    done = rqpy("tail", "-e", "-", queue=queue.path, stdin=listing, check=True)
    assert sorted(done.stdout.splitlines()) == ["1: a", "1: b", "2: c", "2: d"]


def test_a_line_longer_than_memory_should_hold_is_printed_in_pieces(rqpy: Rqpy, queue: Queue) -> None:
    queue.submit("head -c 200000 /dev/zero | tr '\\0' x", cwd="/")
    queue.submit("true", cwd="/")
    rqpy("feed", "--until-empty", queue=queue.path, check=True)
    printed = rqpy("tail", "1", "2", queue=queue.path, check=True).stdout
    assert printed.count("x") == 200_000
    assert all(re.fullmatch("1: x{1,65536}", line) for line in printed.splitlines())


def test_a_job_that_does_not_exist_or_is_deleted_meanwhile(rqpy: Rqpy, queue: Queue) -> None:
    done = rqpy("tail", "7", queue=queue.path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"rqpy: {queue.path}: has no job 7\n")
    queue.submit("true", stage=True)
    with tailing(rqpy, queue, "1") as tail:
        queue.delete(1)
        _, said = tail.communicate(timeout=40)
    assert (tail.returncode, said) == (1, f"rqpy: {queue.path}: has no job 1\n".encode())


def test_it_ends_when_nobody_reads_it_any_longer(rqpy: Rqpy, queue: Queue) -> None:
    queue.submit("echo begin; sleep 600", cwd="/")
    rqpy("start", "--quiet", queue=queue.path, check=True)
    with tailing(rqpy, queue, "1") as tail:
        assert tail.stdout
        assert tail.stdout.readline() == b"begin\n"
        tail.stdout.close()
        assert tail.wait(20) == 0
        assert tail.stderr
        assert tail.stderr.read() == b""
    rqpy("stop", "--grace", "1", queue=queue.path, check=True)


def test_a_job_that_truncates_its_stdout_is_followed_from_the_beginning(
    rqpy: Rqpy, queue: Queue, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        os.mkfifo(tmp_path / name)
    waits = [f"read -r x <{tmp_path}/{name}" for name in ("first", "second")]
    again = 'exec >"$RQ_STDOUT"; echo two'
    queue.submit(f"echo a long first line; {waits[0]}; {again}; {waits[1]}", cwd="/")
    rqpy("start", "--until-empty", "--quiet", queue=queue.path, check=True)
    with tailing(rqpy, queue, "1") as tail:
        assert tail.stdout
        assert tail.stdout.readline() == b"a long first line\n"
        (tmp_path / "first").write_text("\n")
        assert tail.stdout.readline() == b"two\n"
        (tmp_path / "second").write_text("\n")
        assert tail.wait(20) == 0
