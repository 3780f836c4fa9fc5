"""Who may not write: readers of a public queue, read-only directories, no permission at all."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue
from rq_py.errors import NotAQueue
from tests.store.children import child
from tests.store.strangers import PRELUDE

pytestmark = pytest.mark.root

READER = 23456

_PROGRAM = (
    PRELUDE
    + """
become(int(arguments[1]), int(arguments[1]))
"""
)


def test_a_reader_of_a_public_queue_reads_beside_others_and_changes_nothing(open_path: Path) -> None:
    queue = Queue.create(open_path / "q", public=True)
    queue.submit("one", stdin=b"x")
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in queue.path.rglob("*"))
    program = """
queue = Queue(arguments[0])
attempt(lambda: [job.command for job in queue.jobs()])
attempt(lambda: queue.status()["jobs"]["total"])
attempt(lambda: queue.stream(1, "stdin").read_bytes())
attempt(lambda: bool(queue.store.mark()))
attempt(lambda: queue.submit("two", cwd="/"))
with queue.store.read() as tx:
    say("reading")
    hear()
say("left")
"""
    with child(_PROGRAM + program, queue.path, READER) as reader:
        assert reader.line() == "ok ['one']"
        assert reader.line() == "ok 1"
        assert reader.line() == "ok b'x'"
        assert reader.line() == "ok True"
        assert reader.line().startswith(f"StorageError {queue.path}: no permission to write")
        reader.expect("reading")
        with child(_PROGRAM + program, queue.path, READER) as other:
            for _ in range(5):
                other.line()
            other.expect("reading")  # both at once: their lock is shared
            other.tell()
            other.expect("left")
        after = sorted((str(path), path.lstat().st_mtime_ns) for path in queue.path.rglob("*"))
        assert before == after
        reader.tell()
        reader.expect("left")
    queue.submit("two")


def test_a_reader_that_is_stopped_delays_writers_for_one_lease(open_path: Path) -> None:
    queue = Queue.create(open_path / "q", public=True, settings={"lock_lease": "1"})
    queue.store.notify = lambda _line: None
    program = """
with Queue(arguments[0]).store.read():
    say("reading")
    os.kill(os.getpid(), signal.SIGSTOP)
"""
    with child(_PROGRAM + program, queue.path, READER) as reader:
        reader.expect("reading")
        queue.submit("goes on")
        assert queue.store.generations.current().number == 2
        reader.send(signal.SIGCONT)
        assert reader.end() == 0


def test_a_reader_at_a_half_done_transaction_says_so_in_one_line(open_path: Path) -> None:
    from tests.store.test_killed import die_between_two_writes

    queue = Queue.create(open_path / "q", public=True)
    die_between_two_writes(queue)
    program = "queue = Queue(arguments[0])\nattempt(lambda: len(list(queue.jobs())))\nhear()\n"
    program += "attempt(lambda: len(list(queue.jobs())))\n"
    with child(_PROGRAM + program, queue.path, READER) as reader:
        said = reader.line()
        assert said.startswith("StorageError"), said
        assert "a writer died here" in said
        assert len(list(queue.jobs())) == 40  # somebody who may write has tidied up
        reader.tell()
        assert reader.line() == "ok 40"


def test_a_private_queue_is_closed_to_others_in_one_line(open_path: Path) -> None:
    queue = Queue.create(open_path / "q")
    program = """
attempt(lambda: Queue(arguments[0]))
attempt(lambda: Queue(arguments[0] + "/sub/q"))
attempt(lambda: Queue.create(arguments[0] + "/sub"))
attempt(lambda: Queue.create(arguments[0]))
attempt(lambda: Queue.create(os.path.dirname(arguments[0]) + "/mine"))
"""
    with child(_PROGRAM + program, queue.path, READER) as stranger:
        for _ in range(5):
            said = stranger.line()
            assert said.split()[0] in {"StorageError", "NotAQueue", "QueueExists"}, said
            assert "ermission" in said or "is not an empty" in said, said
    assert sorted(path.name for path in open_path.iterdir()) == ["q"]


def test_a_directory_that_is_not_writable_any_more(open_path: Path) -> None:
    queue = Queue.create(open_path / "q", public=True)
    queue.submit("one")
    os.chown(queue.path, READER, READER)
    for path in queue.path.rglob("*"):
        os.chown(path, READER, READER, follow_symlinks=False)
    queue.path.chmod(0o555)
    program = """
queue = Queue(arguments[0])
attempt(lambda: len(list(queue.jobs())))
attempt(lambda: queue.submit("two", cwd="/"))
"""
    with child(_PROGRAM + program, queue.path, READER) as owner:
        assert owner.line() == "ok 1"
        assert owner.line().startswith("StorageError")
    assert len(list(queue.jobs())) == 1


def test_a_full_disk_is_one_line_and_changes_nothing(small_disk: Path) -> None:
    queue = Queue.create(small_disk / "q")
    queue.submit("before", stdin=b"x")
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    program = """
from rq_py import JobSpec
queue = Queue(arguments[0])
def attempt(work):
    try:
        say("ok", work())
    except RqError as error:
        say(type(error).__name__, error)
attempt(lambda: queue.submit("true", stdin=b"y" * 8192))
attempt(lambda: queue.submit("true", data="/etc/passwd"))
attempt(lambda: queue.submit("true", data=arguments[0] + "/db.1"))
attempt(lambda: queue.submit_many(JobSpec("z" * 4000) for _ in range(100)))
attempt(lambda: queue.submit_many((JobSpec("z" * 4000) for _ in range(100)), stdin=b""))
attempt(lambda: Queue.create(arguments[0] + "2"))
attempt(lambda: queue.store.generations.supersede(queue.store.generations.current(), "x"))
attempt(lambda: len(list(queue.jobs())))
"""
    with child(program, queue.path) as submitter:
        for _ in range(7):
            said = submitter.line()
            assert said.startswith(("StorageError", "OutcomeUnknown")), said
            assert "\\n" not in said
        assert submitter.line() == "ok 1"
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "q"]
    assert sorted(path.name for path in (queue.path / "stdin").iterdir()) == ["1"]
    assert list((queue.path / "data").iterdir()) == []
    assert [path.name for path in queue.path.glob("db.*")] == ["db.1"]
    filler.unlink()
    assert [job.jid for job in queue.submit_many([JobSpec("after")])] == [2]
    assert queue.recover()["integrity"] == "ok"


def test_a_path_below_a_file(open_path: Path) -> None:
    (open_path / "file").write_text("")
    with pytest.raises(NotAQueue):
        Queue(open_path / "file" / "q")
