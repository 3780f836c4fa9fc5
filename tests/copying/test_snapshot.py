"""Snapshots, as a directory and as an option: consistent, for reading only, replaced by the next."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.errors import QueueExists, StorageError
from rq_py.locking.queuelock import BEAT_EVERY
from rq_py.settings import read
from tests.conftest import Rqpy
from tests.copying.jobs import jids
from tests.store.children import child
from tests.store.database import integrity


def test_it_is_read_as_a_queue_and_replaced_by_the_next(rqpy: Rqpy, used: Queue, tmp_path: Path) -> None:
    first = rqpy("snapshot", queue=used.path, check=True).stdout
    place = tmp_path / "q.snapshot"
    assert first.startswith(f"---\nq: {place}\nkind: snapshot\nuuid: ")
    assert rqpy("status", queue=place, check=True).stdout.startswith(
        "---\njobs:\n  pending: 1\n  holding: 1\n"
    )
    used.submit("later")
    assert jids(Queue(place)) == [1, 2, 3, 4, 5, 6, 7]
    second = rqpy("snapshot", queue=used.path, check=True).stdout
    assert second != first
    assert jids(Queue(place)) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert integrity(place / "db") == "ok"
    assert sorted(path.name for path in tmp_path.iterdir() if "snap" in path.name) == ["q.snapshot"]


@pytest.mark.parametrize(
    "words", [["submit", "true"], ["feed"], ["rotate"], ["lock", "w", "true"], ["submit", "x", "--stdin=-"]]
)
def test_it_can_only_be_read(rqpy: Rqpy, used: Queue, tmp_path: Path, words: list[str]) -> None:
    place = used.snapshot(tmp_path / "s").path
    files = sorted(place.rglob("*"))
    refused = rqpy(*words, queue=place)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert "is a snapshot of a queue and can only be read: name the queue itself" in refused.stderr
    assert sorted(place.rglob("*")) == files


def test_no_transaction_writes_to_it(used: Queue, tmp_path: Path) -> None:
    copy = used.snapshot(tmp_path / "s")
    with pytest.raises(StorageError, match="can only be read"), copy.store.write() as tx:
        tx.execute("DELETE FROM jobs")
    assert jids(copy) == jids(used)


@pytest.mark.parametrize("there", ["file", "directory", "queue", "itself", "dangling"])
def test_nothing_but_a_snapshot_is_replaced(used: Queue, tmp_path: Path, there: str) -> None:
    place = tmp_path / "s"
    if there == "file":
        place.write_text("mine")
    elif there == "directory":
        place.mkdir()
        (place / "mine").write_text("mine")
    elif there == "queue":
        Queue.create(place)
    elif there == "dangling":
        place.symlink_to("nowhere")
    else:
        place = used.path
    with pytest.raises(QueueExists):
        used.snapshot(place)
    assert jids(used) == [1, 2, 3, 4, 5, 6, 7]
    assert not list(tmp_path.glob(".*draft"))


def test_a_place_that_is_not_there(used: Queue, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="make it first"):
        used.snapshot(tmp_path / "no" / "s")


@pytest.mark.parametrize(("access", "mode"), [({}, 0o700), ({"public": True}, 0o755)])
def test_modes_are_those_of_the_queue(tmp_path: Path, access: dict[str, bool], mode: int) -> None:
    queue = Queue.create(tmp_path / "q", **access)  # type: ignore[arg-type]
    before = os.umask(0o027)
    try:
        copy = queue.snapshot(tmp_path / "s")
    finally:
        os.umask(before)
    assert copy.path.stat().st_mode & 0o7777 == mode
    assert (copy.path / "db").stat().st_mode & 0o777 == mode & 0o666


def test_a_queue_says_nothing_of_its_kind_and_a_copy_does(used: Queue, tmp_path: Path) -> None:
    assert "kind" not in used.dir.settings.read_text()
    assert used.settings.kind == "queue"
    copy = used.snapshot(tmp_path / "s")
    assert "kind: snapshot\n" in copy.dir.settings.read_text()
    assert read(copy.dir.settings).kind == "snapshot"


def test_every_copy_has_a_journal_before_anybody_opens_it(used: Queue, tmp_path: Path) -> None:
    """Without one a reader on another node may not see the journal of the first writer."""
    copies = [used.snapshot(tmp_path / "s").path, used.backup(tmp_path / "b").path]
    copies.append(used.rotate(tmp_path / "r").path or tmp_path)
    assert [(path / "db.1" / "queue.db-journal").stat().st_size > 0 for path in copies] == [True] * 3


def test_the_option_reads_a_copy_and_leaves_none(rqpy: Rqpy, used: Queue, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    env = {"TMPDIR": str(scratch)}
    for words in (
        ["list"],
        ["status"],
        ["list", "3", "--fields", "jid"],
        ["stdout", "1", "2"],
        ["stdin", "7"],
    ):
        plain = rqpy(*words, queue=used.path, check=True)
        copied = rqpy(*words, "--snapshot", queue=used.path, check=True, env=env)
        if words != ["status"]:  # ages grow
            assert copied.stdout == plain.stdout
    assert rqpy("t", "-s", queue=used.path, check=True, env=env).stdout.startswith("---\njobs:\n")
    assert rqpy("list", "99", "-s", queue=used.path, env=env).returncode == 1
    assert list(scratch.iterdir()) == []
    assert rqpy("submit", "--snapshot", queue=used.path, stdin="true\n").returncode == 2


def test_the_copying_beats(used: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page the record can be refreshed; here each beat is due at once."""
    from rq_py.locking import queuelock
    from rq_py.store import opened

    assert BEAT_EVERY == 1.0
    beats: list[int] = []
    original = queuelock.HeldLock.beat
    monkeypatch.setattr(opened, "_PAGES", 2)

    def beat(lock: queuelock.HeldLock) -> None:
        beats.append(1)
        original(lock)

    monkeypatch.setattr(queuelock.HeldLock, "beat", beat)
    used.snapshot(tmp_path / "s")
    assert len(beats) >= 3


_SNAPSHOT = """
queue = Queue(arguments[0])
while True:
    queue.snapshot(arguments[1])
    say("made")
"""


def test_two_that_replace_the_same_and_a_reader(used: Queue, tmp_path: Path) -> None:
    place = tmp_path / "s"
    used.snapshot(place)
    with child(_SNAPSHOT, used.path, place) as one, child(_SNAPSHOT, used.path, place) as two:
        for _ in range(10):
            one.expect("made")
            two.expect("made")
        one.kill()
        two.kill()
    used.snapshot(place)
    assert jids(Queue(place)) == [1, 2, 3, 4, 5, 6, 7]
