"""``rqpy ioview``: the streams of jobs in an editor."""

from __future__ import annotations

from pathlib import Path

import pytest

from rq_py import Queue
from tests.conftest import Rqpy


@pytest.fixture
def queue(queue_path: Path, rqpy: Rqpy) -> Queue:
    """A job with all streams, one without stdin, one that has not run."""
    queue = Queue.create(queue_path)
    queue.submit("cat", stdin=b"in", cwd="/")
    queue.submit("true", cwd="/")
    queue.submit("true", cwd="/", stage=True)
    rqpy("feed", "--until-empty", queue=queue_path, check=True)
    return queue


@pytest.fixture
def editor(tmp_path: Path) -> Path:
    """An editor that prints how it was called."""
    program = tmp_path / "an editor"
    program.write_text('#!/bin/sh\nprintf "<%s>" "$@"; echo\n')
    program.chmod(0o755)
    return program


def test_all_streams_of_a_job_in_one_window(rqpy: Rqpy, queue: Queue, editor: Path) -> None:
    env = {"RQ_EDITOR": f"'{editor}' -R -o"}
    q = queue.path
    done = rqpy("ioview", "1", queue=q, env=env, check=True)
    assert done.stdout == f"<-R><-o><{q}/stdin/1><{q}/stdout/1><{q}/stderr/1>\n"
    listing = rqpy("list", "finished", queue=q).stdout
    done = rqpy("io", "-", "--editor", f"'{editor}'", queue=q, stdin=listing, env=env, check=True)
    assert done.stdout == (f"<{q}/stdin/1><{q}/stdout/1><{q}/stderr/1>\n<{q}/stdout/2><{q}/stderr/2>\n")


def test_jobs_from_a_snapshot_and_their_streams_from_the_queue(
    rqpy: Rqpy, queue: Queue, editor: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    editor.write_text(f'#!/bin/sh\nprintf "<%s>" "$@"; echo; cat {folder}/*/snapshot/queue.yml\n')
    env = {"RQ_EDITOR": f"'{editor}'", "TMPDIR": str(folder)}
    q = queue.path
    done = rqpy("ioview", "--snapshot", "1", queue=q, env=env, check=True)
    opened, *settings = done.stdout.splitlines()
    assert opened == f"<{q}/stdin/1><{q}/stdout/1><{q}/stderr/1>"
    assert "kind: snapshot" in settings, "it is there while they are looked at"
    assert list(folder.iterdir()) == []
    done = rqpy("io", "-s", "3", queue=q, env=env)
    assert (done.returncode, done.stderr) == (1, f"rqpy: {q}: job 3 has no streams yet\n")
    assert list(folder.iterdir()) == []


def test_vim_is_the_default(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "vim").write_text('#!/bin/sh\necho "$1 $2 $#"\n')
    (tmp_path / "vim").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{rqpy.environment['PATH']}"}
    assert rqpy("ioview", "1", queue=queue.path, env=env, check=True).stdout == "-R -o 5\n"


def test_what_cannot_be_opened_is_said(rqpy: Rqpy, queue: Queue) -> None:
    done = rqpy("ioview", "3", "9", queue=queue.path, env={"RQ_EDITOR": "true"})
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"rqpy: {queue.path}: job 3 has no streams yet",
        f"rqpy: {queue.path}: has no job 9",
    ]
    done = rqpy("ioview", "1", queue=queue.path, env={"RQ_EDITOR": "false"})
    assert (done.returncode, done.stderr) == (1, "rqpy: false ended with 1\n")
    done = rqpy("ioview", "1", "--editor", "no-such-editor", queue=queue.path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    for wrong in ("", "'"):
        assert rqpy("ioview", "1", "--editor", wrong, queue=queue.path).returncode == 2
