"""Rotate: what moves, what stays, what others do meanwhile, and in which order it reaches the disk."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rq_py import Queue, State
from rq_py.errors import QueueExists, StorageError
from rq_py.queuedir import QueueDir
from rq_py.rotation import Rotated, rotate
from rq_py.store import draft as drafts
from tests.conftest import Rqpy
from tests.copying.jobs import assert_files, end, files_of, jids, write_streams
from tests.store.database import integrity


def test_the_jobs_that_have_ended_move_with_all_their_files(used: Queue, tmp_path: Path) -> None:
    before = {job.jid: job for job in used.jobs()}
    rotated = used.rotate(tmp_path / "r")
    assert rotated == Rotated(tmp_path / "r", 5)
    rotation = Queue(tmp_path / "r")
    assert {job.jid: job for job in rotation.jobs()} == {jid: before[jid] for jid in range(1, 6)}
    assert {job.jid: job for job in used.jobs()} == {jid: before[jid] for jid in (6, 7)}
    for jid in range(1, 6):
        assert_files(rotation.dir, jid)
        assert files_of(used.dir, jid) == []
    assert used.stream(6, "stdin").read_text() == "input 6\n"
    assert rotation.settings.kind == "rotation"
    assert rotation.settings.uuid != used.settings.uuid
    assert not (tmp_path / "r" / "moving").exists()
    assert integrity(tmp_path / "r" / "db") == integrity(used.path / "db") == "ok"
    assert used.submit("next").jid == 8
    with used.store.read() as tx:
        assert tx.execute("SELECT count(*) FROM removals").fetchone() == (0,)


def test_a_rotation_is_read_by_the_same_commands_and_takes_nothing(
    rqpy: Rqpy, used: Queue, tmp_path: Path
) -> None:
    done = rqpy("rotate", "r", queue=used.path, check=True)
    assert done.stdout == f"---\nrotation: {tmp_path}/r\njobs: 5\n"
    r = tmp_path / "r"
    assert "finished: 4\n" in rqpy("status", queue=r, check=True).stdout
    assert rqpy("list", "5", "--fields", "jid", queue=r, check=True).stdout == "---\n-\n  jid: 5\n"
    assert rqpy("stdout", "3", queue=r, check=True).stdout == "stdout of 3\n"
    files = sorted(r.rglob("*"))
    for words in (["submit", "true"], ["submit", "true", "--stdin=-"], ["feed"], ["lock", "w", "true"]):
        refused = rqpy(*words, queue=r)
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert "is a rotation of a queue and can only be read" in refused.stderr
    assert sorted(r.rglob("*")) == files


def test_names(rqpy: Rqpy, used: Queue, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    rqpy("rotate", "old", queue=used.path, check=True)
    (made,) = (tmp_path / "old").iterdir()
    assert made.name.startswith("q.2")
    assert jids(Queue(made)) == [1, 2, 3, 4, 5]
    again = rqpy("rotate", queue=used.path)
    assert (again.returncode, again.stdout) == (0, "")
    assert "nothing to rotate" in again.stderr
    end(used, [6])
    rqpy("rotate", queue=used.path, check=True)
    (beside,) = tmp_path.glob("q.2*")
    assert jids(Queue(beside)) == [6]


@pytest.mark.parametrize("there", ["file", "queue", "rotation"])
def test_nothing_is_overwritten(used: Queue, tmp_path: Path, there: str) -> None:
    place = tmp_path / "r"
    if there == "file":
        place.write_text("mine")
    elif there == "queue":
        Queue.create(place)
    else:
        used.rotate(place)
        end(used, [6])
    before = jids(used)
    with pytest.raises(QueueExists):
        used.rotate(place)
    assert jids(used) == before
    assert [path.name for path in tmp_path.glob(".*draft")] == []


def test_a_rotation_of_another_queue_is_not_completed(used: Queue, tmp_path: Path) -> None:
    used.rotate(tmp_path / "r")
    (tmp_path / "r" / "moving").write_text("queue: " + "0" * 32 + "\n")
    end(used, [6])
    with pytest.raises(QueueExists):
        used.rotate(tmp_path / "r")


def test_packed(rqpy: Rqpy, used: Queue, tmp_path: Path) -> None:
    done = rqpy("rotate", "r", "--tgz", queue=used.path, check=True)
    assert done.stdout == f"---\nrotation: {tmp_path}/r.tgz\njobs: 5\n"
    assert not (tmp_path / "r").exists()
    assert (tmp_path / "r.tgz").stat().st_mode & 0o777 == 0o600
    (tmp_path / "elsewhere").mkdir()
    subprocess.run(["tar", "-xzf", tmp_path / "r.tgz", "-C", tmp_path / "elsewhere"], check=True)
    rotation = Queue(tmp_path / "elsewhere" / "r")
    assert jids(rotation) == [1, 2, 3, 4, 5]
    for jid in range(1, 6):
        assert_files(rotation.dir, jid)
    assert rqpy("rotate", "r", "--tgz", queue=used.path).returncode == 1


def test_a_packer_that_fails_leaves_the_rotation(
    used: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "tar").write_text("#!/bin/sh\necho no room >&2\nexit 2\n")
    (fake / "tar").chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
        with pytest.raises(StorageError, match="no room"):
            used.rotate(tmp_path / "r", tgz=True)
    assert jids(Queue(tmp_path / "r")) == [1, 2, 3, 4, 5]
    assert used.rotate(tmp_path / "r", tgz=True).path == tmp_path / "r.tgz"
    assert [path.name for path in tmp_path.glob("*r*") if path.name.startswith((".", "r"))] == ["r.tgz"]


def test_to_another_file_system_files_are_copied(used: Queue) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        if os.stat(folder).st_dev == os.stat(used.path).st_dev:
            pytest.skip("there is one file system only")
        used.rotate(Path(folder, "r"))
        rotation = QueueDir(Path(folder, "r"))
        for jid in range(1, 6):
            assert_files(rotation, jid)
            assert files_of(used.dir, jid) == []
        assert rotation.stream("stdout", 1).stat().st_mode & 0o777 == 0o600


def at(step: str, work: Callable[[], object]) -> Callable[[str], None]:
    """An ``at_step`` that does ``work`` after ``step``."""

    def at_step(done: str) -> None:
        if done == step:
            work()

    return at_step


@pytest.mark.parametrize("step", ["rows", "files", "complete", "published"])
def test_a_job_that_is_resubmitted_meanwhile_stays_in_the_queue(
    used: Queue, tmp_path: Path, step: str
) -> None:
    def resubmit() -> None:
        with used.store.write() as tx:
            tx.execute("UPDATE jobs SET state = 'pending', token = '' WHERE jid = 1")

    rotate(used.store, tmp_path / "r", at_step=at(step, resubmit))
    rotation = Queue(tmp_path / "r")
    assert jids(rotation) == [2, 3, 4, 5]
    assert jids(used) == [1, 6, 7]
    assert_files(used.dir, 1)
    assert files_of(rotation.dir, 1) == []


@pytest.mark.parametrize("step", ["rows", "files", "published"])
def test_a_job_that_ends_again_meanwhile_stays_in_the_queue(used: Queue, tmp_path: Path, step: str) -> None:
    """The dead job's node has returned; another job was run once more."""

    def return_of_the_node() -> None:
        with used.store.write() as tx:
            tx.execute("UPDATE jobs SET state = 'finished', exit_status = 3 WHERE jid = 5")
        end(used, [2])

    rotate(used.store, tmp_path / "r", at_step=at(step, return_of_the_node))
    assert jids(Queue(tmp_path / "r")) == [1, 3, 4]
    assert jids(used) == [2, 5, 6, 7]
    assert used.job(5).exit_status == 3
    assert_files(used.dir, 2)
    assert_files(used.dir, 5)


@pytest.mark.parametrize("step", ["rows", "published"])
def test_a_job_that_is_deleted_meanwhile_does_not_come_back(used: Queue, tmp_path: Path, step: str) -> None:
    def delete() -> None:
        with used.store.write() as tx:
            tx.execute("DELETE FROM jobs WHERE jid = 3")

    rotate(used.store, tmp_path / "r", at_step=at(step, delete))
    assert jids(Queue(tmp_path / "r")) == [1, 2, 4, 5]
    assert files_of(QueueDir(tmp_path / "r"), 3) == []


def test_a_job_that_ends_meanwhile_waits_for_the_next_rotation(used: Queue, tmp_path: Path) -> None:
    rotate(used.store, tmp_path / "r", at_step=at("rows", lambda: end(used, [6])))
    assert jids(Queue(tmp_path / "r")) == [1, 2, 3, 4, 5]
    assert used.job(6).state is State.FINISHED


def test_two_at_once_share_the_jobs(used: Queue, tmp_path: Path) -> None:
    rotate(
        used.store,
        tmp_path / "r1",
        at_step=at("published", lambda: rotate(used.store, tmp_path / "r2")),
    )
    assert jids(Queue(tmp_path / "r1")) == []
    assert jids(Queue(tmp_path / "r2")) == [1, 2, 3, 4, 5]
    for jid in range(1, 6):
        assert_files(QueueDir(tmp_path / "r2"), jid)
    with pytest.raises(QueueExists):
        end(used, [6])
        rotate(used.store, tmp_path / "r3", at_step=at("rows", lambda: Queue.create(tmp_path / "r3")))
    assert jids(used) == [6, 7]


def test_the_order_in_which_it_reaches_the_disk(
    used: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copied, then synced, then published by a durable rename; only then rows and files are deleted."""
    events: list[str] = []
    place = tmp_path / "r"

    def record(module: object, name: str, describe: Callable[..., str]) -> None:
        original = getattr(module, name)

        def spy(*arguments: object, **options: object) -> object:
            result = original(*arguments, **options)
            events.append(describe(*arguments))
            return result

        monkeypatch.setattr(module, name, spy)

    def opened(descriptor: int) -> str:
        return os.readlink(f"/proc/self/fd/{descriptor}")

    record(os, "link", lambda _, target: f"link {Path(target).parent.name}")
    record(os, "rename", lambda _, target: f"rename {target}")
    record(os, "unlink", lambda path, **_: f"unlink {path}")
    record(os, "fsync", lambda descriptor: f"fsync {opened(descriptor)}")
    record(drafts, "sync_filesystem", lambda path: "syncfs")
    rotate(used.store, place, at_step=events.append)
    last_link = max(index for index, event in enumerate(events) if event.startswith("link "))
    synced, published = events.index("syncfs"), events.index(f"rename {place}")
    parent = events.index(f"fsync {tmp_path}", published)
    deleted = events.index("deleted")
    removed = min(i for i, event in enumerate(events) if event.startswith(f"unlink {used.path}/stdout/"))
    unmarked = events.index(f"unlink {place}/moving")
    assert last_link < synced < published < parent < deleted < removed < unmarked
    assert f"rename {place}" not in events[:synced]


def test_drafts_of_the_killed_are_swept_a_day_later(used: Queue, tmp_path: Path) -> None:
    dead, young, mine = (
        tmp_path / ".r.0123abcd.rqpy-draft",
        tmp_path / ".r.01234567.rqpy-draft",
        tmp_path / ".mine.draft",
    )
    for path in (dead, young, mine):
        path.mkdir()
        (path / "file").write_text("x")
    for path in (dead, mine):
        os.utime(path, (0, 0))
    used.rotate(tmp_path / "r")
    assert not dead.exists()
    assert young.exists()
    assert mine.exists()


def test_a_thousand_streams(queue: Queue, tmp_path: Path) -> None:
    """More than one batch of signs of life; some have no files."""
    from rq_py import JobSpec

    queue.submit_many(JobSpec("true") for _ in range(1200))
    end(queue, range(1, 1200))
    write_streams(queue, range(1, 1100))
    assert queue.rotate(tmp_path / "r").jobs == 1199
    assert len(list((tmp_path / "r" / "stdout").iterdir())) == 1099
    assert jids(queue) == [1200]
