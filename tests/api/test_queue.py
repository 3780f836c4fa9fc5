"""The public API: opening, selecting, streams, and that a reader holds nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue, State
from rq_py.errors import NotAQueue, NotFound, RqError, StorageError, UsageError
from rq_py.queuedir import LOCAL_ROOT
from tests.store.children import child


def test_ten_lines_are_enough(queue_path: Path) -> None:
    Queue.create(queue_path)
    queue = Queue(queue_path)
    job = queue.submit("make report", priority=5, tag="nightly")
    assert [found.jid for found in queue.jobs("pending")] == [job.jid]


@pytest.mark.parametrize("what", ["nothing", "a file", "an empty directory", "a broken database"])
def test_what_is_not_a_queue(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x"
    if what == "a file":
        path.write_text("x")
    elif what == "an empty directory":
        path.mkdir()
    elif what == "a broken database":
        Queue.create(path)
        (path / "db.1" / "queue.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(NotAQueue if what != "a broken database" else StorageError) as caught:
        list(Queue(path).jobs())
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["with space", "ü", "a?b#c%20d", "-q", "'", "x" * 100])
def test_paths_with_any_characters(tmp_path: Path, name: str) -> None:
    queue = Queue.create(tmp_path / name)
    assert queue.submit("true", stdin=b"x").jid == 1
    assert Queue(tmp_path / name).recover()["integrity"] == "ok"


def test_a_relative_path_and_a_symlink(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.submit("true")
    monkeypatch.chdir(tmp_path)
    assert Queue("q").path == tmp_path / "q"
    (tmp_path / "link").symlink_to("q")
    linked = Queue("link")
    linked.submit("true")
    assert len(list(queue.jobs())) == 2
    with queue.store.write(), pytest.raises(RuntimeError), linked.store.read():
        pass  # the same queue, so the same lock


def test_selecting(queue: Queue) -> None:
    queue.submit_many([JobSpec(str(i), stage=i % 2 == 0) for i in range(1, 9)])

    def jids(*selectors: State | str | int) -> list[int]:
        return [job.jid for job in queue.jobs(*selectors)]

    assert jids() == list(range(1, 9))
    assert jids("holding") == [2, 4, 6, 8]
    assert jids(State.PENDING, 8, 8, 2) == [1, 2, 3, 5, 7, 8]
    assert jids(99, 3) == [3]
    assert jids("dead") == []
    assert jids(*range(1, 5000)) == list(range(1, 9))


@pytest.mark.parametrize("selector", ["waiting", "", "1", 0, -1, 2**63, True, None])
def test_what_selects_nothing_that_exists(queue: Queue, selector: object) -> None:
    with pytest.raises(UsageError):
        queue.jobs(selector)  # type: ignore[arg-type]


def test_one_job(queue: Queue) -> None:
    queue.submit("true")
    assert queue.job(1).command == "true"
    with pytest.raises(NotFound, match="has no job 2"):
        queue.job(2)


def test_streams(queue: Queue, tmp_path: Path) -> None:
    queue.submit("true", stdin=b"x")
    assert queue.stream(1, "stdin") == queue.path / "stdin" / "1"
    for name in ("stdout", "stderr"):
        (queue.path / name / "1").write_text("stray")
        with pytest.raises(NotFound, match="is pending and has no"):
            queue.stream(1, name)
    with queue.store.write() as tx:
        tx.execute("UPDATE jobs SET state = 'running', started = 'x'")
    assert queue.stream(1, "stdout").read_text() == "stray"
    (queue.path / "stderr" / "1").unlink()
    with pytest.raises(NotFound, match="is not there"):
        queue.stream(1, "stderr")
    (queue.path / "stderr" / "1").symlink_to("/etc/passwd")
    with pytest.raises(StorageError, match="no regular file"):
        queue.stream(1, "stderr")
    with pytest.raises(NotFound):
        queue.stream(2, "stdout")


def test_a_reader_that_never_reads_on_holds_no_lock(queue: Queue) -> None:
    queue.submit_many(JobSpec("true") for _ in range(6000))  # more than stay in memory
    program = """
queue = Queue(arguments[0])
jobs = queue.jobs()
say(next(jobs).jid)
hear()
say(sum(1 for _ in jobs))
"""
    with child(program, queue.path) as reader:
        reader.expect("1")
        Queue(queue.path, timeout=0).submit("another")
        reader.tell()
        reader.expect("5999")


def test_local_state_follows_from_user_node_and_uuid(queue: Queue, this_node: str) -> None:
    assert queue.local_state == LOCAL_ROOT / f"rqpy-{os.getuid()}" / f"{this_node}-{queue.settings.uuid}"


def test_every_error_of_the_api_is_one_of_ours(queue: Queue) -> None:
    for work in (
        lambda: Queue(queue.path / "db"),
        lambda: Queue("x\0y"),
        lambda: Queue("x" * 5000),
        lambda: queue.job(1),
        lambda: Queue.create(queue.path),
        lambda: Queue.create("x" * 300),
    ):
        with pytest.raises(RqError):
            work()
