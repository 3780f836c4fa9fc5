"""Stdin and data of a job: every source, copied whole, never another job's."""

from __future__ import annotations

import errno
import io
import os
import signal
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue
from rq_py.errors import InputError, NotFound, StorageError
from rq_py.staging import KEEP_SECONDS
from tests.store.children import child


def stdin_of(queue: Queue, jid: int) -> bytes:
    """What the job will read."""
    return queue.stream(jid, "stdin").read_bytes()


@pytest.mark.parametrize("content", [b"", b"x", b"\0\xff\r\n" * 700_000])
def test_stdin_from_bytes_a_file_and_a_path(queue: Queue, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "input"
    path.write_bytes(content)
    queue.submit("cat", stdin=content)
    with open(path, "rb") as file:
        queue.submit("cat", stdin=file)
    queue.submit("cat", stdin=path)
    queue.submit("cat", stdin=str(path))
    queue.submit("cat", stdin=io.BytesIO(content))
    for job in queue.jobs():
        assert job.has_stdin
        assert stdin_of(queue, job.jid) == content


def test_one_stdin_for_many(queue: Queue) -> None:
    queue.submit_many([JobSpec("cat")] * 5, stdin=io.BytesIO(b"same"))
    assert [stdin_of(queue, jid) for jid in range(1, 6)] == [b"same"] * 5


@pytest.mark.parametrize("code", [errno.EMLINK, errno.EPERM])
def test_one_stdin_for_more_than_a_file_has_links(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    link, most = os.link, 3 if code == errno.EMLINK else 1

    def link_three_times(source: Path, target: Path) -> None:
        if os.stat(source).st_nlink >= most:
            raise OSError(code, os.strerror(code), str(source))
        link(source, target)

    monkeypatch.setattr(os, "link", link_three_times)
    queue.submit_many([JobSpec("cat")] * 10, stdin=b"same")
    assert [stdin_of(queue, jid) for jid in range(1, 11)] == [b"same"] * 10
    assert max(path.stat().st_nlink for path in (queue.path / "stdin").iterdir()) == most


def test_data_is_a_copy_with_symlinks_as_they_are(queue: Queue, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub" / "empty").mkdir(parents=True)
    (source / "file").write_bytes(b"content")
    (source / "sub" / "script").write_text("#!/bin/sh\n")
    (source / "sub" / "script").chmod(0o500)
    (source / "relative").symlink_to("sub/script")
    (source / "dangling").symlink_to("/nowhere")
    (source / "sub" / "folder").symlink_to("..")
    (source / "sub").chmod(0o500)
    queue.submit("true", data=source)
    (source / "file").write_bytes(b"changed")
    copy = queue.dir.data(1)
    assert (copy / "file").read_bytes() == b"content"
    assert os.readlink(copy / "relative") == "sub/script"
    assert os.readlink(copy / "dangling") == "/nowhere"
    assert os.readlink(copy / "sub" / "folder") == ".."
    assert (copy / "sub" / "empty").is_dir()
    assert (copy / "sub" / "script").stat().st_mode & 0o777 == 0o700
    assert (copy / "file").stat().st_mode & 0o777 == 0o600
    assert (copy / "sub").stat().st_mode & 0o777 == 0o700
    queue.submit("true", data=source / "file")
    assert queue.dir.data(2).read_bytes() == b"changed"
    assert queue.job(2).has_data


def test_data_that_holds_the_queue_itself(queue: Queue) -> None:
    with pytest.raises(InputError, match="holds the queue itself"):
        queue.submit("true", data=queue.path.parent)
    with pytest.raises(InputError, match="holds the queue itself"):
        queue.submit("true", data=queue.path)
    assert os.listdir(queue.path / "data") == []


@pytest.mark.parametrize("kind", ["missing", "device", "directory as stdin", "fifo inside"])
def test_sources_that_will_not_do(queue: Queue, tmp_path: Path, kind: str) -> None:
    if kind == "fifo inside":
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "tree").mkdir()
        os.rename(tmp_path / "fifo", tmp_path / "tree" / "fifo")
        with pytest.raises(StorageError, match="fifo") as caught:
            queue.submit("true", data=tmp_path / "tree")
        assert "\n" not in str(caught.value)
    elif kind == "directory as stdin":
        with pytest.raises(InputError):
            queue.submit("true", stdin=tmp_path)
    elif kind == "device":
        with pytest.raises(InputError, match="neither a file nor a directory"):
            queue.submit("true", data="/dev/null")
    else:
        with pytest.raises(InputError, match="nothing-here"):
            queue.submit("true", stdin=tmp_path / "nothing-here")
        with pytest.raises(InputError, match="nothing-here"):
            queue.submit("true", data=tmp_path / "nothing-here")
    assert list(queue.jobs()) == []
    assert os.listdir(queue.path / "stdin") == os.listdir(queue.path / "data") == []


def test_copies_of_another_jobs_files(queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to("nowhere")
    queue.submit("cat", stdin=b"one", data=tmp_path / "tree")
    queue.submit_many([JobSpec("cat", stdin="stdin/1", data="data/1"), JobSpec("cat", stdin="stdin/1")])
    assert stdin_of(queue, 2) == stdin_of(queue, 3) == b"one"
    assert os.readlink(queue.dir.data(2) / "link") == "nowhere"
    assert not queue.job(3).has_data
    # What is given for all comes before.
    queue.submit_many([JobSpec("cat", stdin="stdin/1")], stdin=b"for all")
    assert stdin_of(queue, 4) == b"for all"


@pytest.mark.parametrize("kind", ["stdin", "data"])
def test_a_symlink_in_the_place_of_a_file_is_not_followed(queue: Queue, tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (queue.path / kind / "1").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match=f"{kind}/1"):
        queue.submit_many(
            [JobSpec("cat", stdin="stdin/1") if kind == "stdin" else JobSpec("cat", data="data/1")]
        )
    assert list(queue.jobs()) == []


def test_a_file_that_is_not_there_any_more(queue: Queue) -> None:
    queue.submit("true")
    with pytest.raises(NotFound, match="leave the field stdin out"):
        queue.submit_many([JobSpec("cat", stdin="stdin/1")])
    with pytest.raises(NotFound):
        queue.stream(1, "stdin")


@pytest.mark.parametrize("stray", ["directory", "file", "symlink"])
@pytest.mark.parametrize("data", ["directory", "file"])
def test_what_a_killed_submit_left_is_replaced(queue: Queue, tmp_path: Path, stray: str, data: str) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "kept").write_text("kept")
    for kind in ("stdin", "data"):
        place = queue.path / kind / "1"
        if stray == "directory":
            place.mkdir()
            (place / "inside").write_text("stray")
        elif stray == "file":
            place.write_text("stray")
        else:
            place.symlink_to(precious)
    source = tmp_path / "source"
    if data == "directory":
        source.mkdir()
        (source / "mine").write_text("mine")
    else:
        source.write_text("mine")
    assert queue.submit("true", stdin=b"mine", data=source).jid == 1
    assert stdin_of(queue, 1) == b"mine"
    found = queue.dir.data(1)
    assert (found / "mine" if data == "directory" else found).read_text() == "mine"
    assert os.listdir(queue.path / "stdin") == os.listdir(queue.path / "data") == ["1"]
    assert (precious / "kept").read_text() == "kept"


def test_what_a_killed_submit_left_is_never_inherited(queue: Queue) -> None:
    program = """
from rq_py import staging
adopt = staging.Staging.adopt
def adopt_and_die(*values):
    adopt(*values)
    os.kill(os.getpid(), signal.SIGKILL)
staging.Staging.adopt = adopt_and_die
Queue(arguments[0]).submit("true", stdin=b"stray", data=arguments[1])
"""
    with child(program, queue.path, __file__) as submitter:
        assert submitter.end() == -signal.SIGKILL
    assert os.listdir(queue.path / "stdin") == os.listdir(queue.path / "data") == ["1"]
    job = queue.submit("true")
    assert job.jid == 1
    assert not job.has_stdin
    assert not job.has_data
    with pytest.raises(NotFound):
        queue.stream(1, "stdin")


def test_what_is_staged_for_a_day_is_tidied_away(queue: Queue) -> None:
    program = """
from rq_py import staging
staging.Staging.adopt = lambda *values: os.kill(os.getpid(), signal.SIGKILL)
Queue(arguments[0]).submit("true", stdin=b"stray", data=arguments[1])
"""
    with child(program, queue.path, Path(__file__).parent) as submitter:
        assert submitter.end() == -signal.SIGKILL
    staged = [path for kind in ("stdin", "data") for path in (queue.path / kind).iterdir()]
    assert len(staged) == 2
    assert queue.tidy() == []
    for path in staged:
        past = path.stat().st_mtime - KEEP_SECONDS - 60
        os.utime(path, (past, past))
    assert sorted(queue.tidy()) == sorted(staged)
    assert os.listdir(queue.path / "stdin") == os.listdir(queue.path / "data") == []
    assert queue.submit("true", stdin=b"x").jid == 1


def test_reading_the_source_holds_no_lock(queue: Queue) -> None:
    program = """
read, write = os.pipe()
queue = Queue(arguments[0])
import threading
def feed():
    say("reading")
    hear()
    os.write(write, b"late")
    os.close(write)
threading.Thread(target=feed).start()
queue.submit("cat", stdin=os.fdopen(read, "rb"))
say("submitted")
"""
    with child(program, queue.path) as submitter:
        submitter.expect("reading")
        queue.submit("meanwhile")
        submitter.tell()
        submitter.expect("submitted")
    assert stdin_of(queue, 2) == b"late"
