"""Which generation is current: the hint, the truth, the link for people, pruning."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.errors import NotAQueue, StorageError
from rq_py.store.generation import KEEP_OLD_SECONDS
from tests.store.database import assert_persistent, commands, generations, number


def supersede(queue: Queue) -> None:
    """Make the next generation."""
    queue.store.generations.supersede(queue.store.generations.current(), "a test")


def test_a_new_generation_has_everything_and_its_own_files(queue: Queue) -> None:
    queue.submit("one")
    supersede(queue)
    queue.submit("two")
    assert commands(queue) == ["one", "two"]
    assert generations(queue) == ["db.1", "db.2"]
    new = queue.path / "db.2"
    assert {path.name for path in new.iterdir()} == {
        "queue.db",
        "queue.db-journal",
        "lock",
        "frozen",
        "maker",
    }
    assert_persistent(queue)
    assert (queue.path / "db.1" / "frozen").read_text().endswith("a test\n")
    assert (new / "frozen").read_bytes() == b""
    assert (queue.path / "generation").read_text() == "2\n"
    assert os.readlink(queue.path / "db") == "db.2/queue.db"
    assert {oct(path.stat().st_mode & 0o7777) for path in new.iterdir()} == {oct(queue.settings.file_mode)}
    assert new.stat().st_mode & 0o7777 == queue.settings.directory_mode
    with queue.store.read() as tx:
        assert tx.execute("SELECT number, maker FROM generation").fetchall() == [
            (2, (new / "maker").read_text().strip())
        ]


@pytest.mark.parametrize("hint", [None, "", "garbage\n", "1\n", "0\n", "-3\n", "99\n", "2.0\n", "9" * 30])
def test_the_hint_is_only_a_hint(queue: Queue, hint: str | None) -> None:
    queue.submit("one")
    supersede(queue)
    supersede(queue)
    (queue.path / "generation").unlink()
    if hint is not None:
        (queue.path / "generation").write_text(hint)
    assert number(queue) == 3
    assert commands(Queue(queue.path)) == ["one"]


def test_a_missing_or_wrong_link_harms_no_program(queue: Queue) -> None:
    (queue.path / "db").unlink()
    queue.submit("one")
    (queue.path / "db").symlink_to("nowhere")
    queue.submit("two")
    assert commands(queue) == ["one", "two"]
    supersede(queue)
    assert os.readlink(queue.path / "db") == "db.2/queue.db"


def test_a_hint_that_points_to_a_pruned_generation(queue: Queue) -> None:
    queue.submit("one")
    supersede(queue)
    (queue.path / "generation").write_text("1\n")
    shutil.rmtree(queue.path / "db.1")
    assert commands(Queue(queue.path)) == ["one"]


def test_frozen_without_a_successor_is_completed_by_the_next_caller(queue: Queue) -> None:
    queue.submit("one")
    (queue.path / "db.1" / "frozen").write_text("somebody died\n")
    assert commands(queue) == ["one"]
    assert generations(queue) == ["db.1", "db.2"]


def test_a_queue_without_any_database_is_refused(queue: Queue) -> None:
    shutil.rmtree(queue.path / "db.1")
    with pytest.raises(NotAQueue, match="has no database"):
        commands(queue)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_generations_without_their_frozen_files_are_refused(queue: Queue, count: int) -> None:
    """A restored copy may lack empty files; looking for the current one must come to an end."""
    for _ in range(count - 1):
        supersede(queue)
    for generation in queue.path.glob("db.*"):
        (generation / "frozen").unlink()
    with pytest.raises(NotAQueue, match="has no database"):
        commands(Queue(queue.path))


def test_prune_goes_by_the_age_of_what_lies_there(queue: Queue) -> None:
    queue.submit("one")
    supersede(queue)
    draft = queue.path / "db.tmp.0123456789abcdef"
    draft.mkdir()
    assert queue.store.generations.prune() == []
    grow_old(queue.path / "db.1" / "frozen")
    grow_old(draft)
    grow_old(queue.path / "db.2" / "frozen")  # old as well, but the current one
    assert queue.store.generations.prune() == [queue.path / "db.1", draft]
    assert generations(queue) == ["db.2"]
    assert commands(Queue(queue.path)) == ["one"]
    assert not [path for path in queue.path.iterdir() if path.name.startswith(".")]


def grow_old(path: Path) -> None:
    """Let the file server believe that it was changed long ago."""
    past = time.time() - KEEP_OLD_SECONDS - 60
    os.utime(path, (past, past))


def test_prune_asks_the_file_server_and_not_this_clock(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    supersede(queue)
    monkeypatch.setattr(time, "time", lambda: 1e10)
    assert queue.store.generations.prune() == []


def test_a_generation_is_not_begun_without_room(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(queue.path)
    # A full file system is tested with a real one; here only: refused before anything is frozen.
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result([*real[:4], 0, *real[5:10]]))
    with pytest.raises(StorageError, match="make room"):
        supersede(queue)
    monkeypatch.undo()
    assert (queue.path / "db.1" / "frozen").read_bytes() == b""
    assert generations(queue) == ["db.1"]
    queue.submit("goes on")
