"""Backups: everything is in them, and they are queues of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rq_py import Queue, State
from rq_py.errors import QueueExists
from tests.conftest import Rqpy
from tests.copying.jobs import assert_files, end, files_of, jids
from tests.feeder.conftest import Feed
from tests.store.database import integrity
from tests.waiting import wait_until


def test_everything_is_in_it(rqpy: Rqpy, used: Queue, tmp_path: Path) -> None:
    (used.dir.bin / "tool").write_text("#!/bin/sh\n")
    (used.dir.bin / "tool").chmod(0o755)
    printed = rqpy("backup", "b", queue=used.path, check=True).stdout
    assert printed.startswith(f"---\nq: {tmp_path}/b\nuuid: ")
    copy = Queue(tmp_path / "b")
    assert list(copy.jobs()) == list(used.jobs())
    for jid in range(1, 6):
        assert_files(copy.dir, jid)
        assert_files(used.dir, jid)
        for mine, theirs in zip(files_of(copy.dir, jid), files_of(used.dir, jid), strict=True):
            if mine.is_file():
                assert not mine.samefile(theirs)
                assert mine.stat().st_mtime_ns == theirs.stat().st_mtime_ns
                assert mine.stat().st_mode == theirs.stat().st_mode
    assert copy.stream(7, "stdin").read_text() == "input 7\n"
    assert os.access(copy.dir.bin / "tool", os.X_OK)
    assert copy.settings.uuid != used.settings.uuid
    assert copy.settings.kind == "queue"
    assert integrity(copy.path / "db") == "ok"
    assert copy.submit("more").jid == 8
    assert jids(used) == [1, 2, 3, 4, 5, 6, 7]


def test_the_name_when_none_is_given(rqpy: Rqpy, used: Queue, tmp_path: Path) -> None:
    rqpy("b", queue=used.path, check=True)
    (made,) = tmp_path.glob("q.2*Z.bak")
    assert jids(Queue(made)) == jids(used)


def test_nothing_is_overwritten(used: Queue, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(QueueExists):
        used.backup(tmp_path / "b")
    assert not list(tmp_path.glob(".*draft"))


def test_a_running_job_is_of_no_feeder_in_it(used: Queue, tmp_path: Path) -> None:
    with used.store.write() as tx:
        tx.execute("UPDATE jobs SET restartable = 1 WHERE jid = 7")
    end(used, [6, 7], state="running")
    copy = used.backup(tmp_path / "b")
    dead, pending = copy.job(6), copy.job(7)
    assert (dead.state, dead.reason, dead.feeder) == (State.DEAD, "backup", "n.0")
    assert dead.finished is not None
    assert (pending.state, pending.feeder, pending.started, pending.token) == (State.PENDING, None, None, "")
    assert [used.job(jid).state for jid in (6, 7)] == [State.RUNNING, State.RUNNING]


def test_a_backup_of_a_rotation_is_one(used: Queue, tmp_path: Path) -> None:
    used.rotate(tmp_path / "r")
    copy = Queue(tmp_path / "r").backup(tmp_path / "b")
    assert copy.settings.kind == "rotation"
    assert jids(copy) == [1, 2, 3, 4, 5]


def test_input_that_goes_away_is_said(used: Queue, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    used.dir.stream("stdin", 3).unlink()
    used.backup(tmp_path / "b")
    assert "1 jobs were deleted while it was made" in capfd.readouterr().err


def test_a_fifo_among_the_data_does_not_hang_it(used: Queue, tmp_path: Path) -> None:
    os.mkfifo(used.dir.data(1) / "fifo")
    copy = used.backup(tmp_path / "b")
    assert not (copy.dir.data(1) / "fifo").exists()
    assert_files(copy.dir, 1)


def test_it_can_be_fed(used: Queue, tmp_path: Path, feed: Feed, rqpy: Rqpy) -> None:
    copy = used.backup(tmp_path / "b")
    rqpy("feed", "--until-empty", "--quiet", queue=copy.path, check=True)
    wait_until(lambda: copy.job(6).state is State.FINISHED)
    assert copy.stream(6, "stdout").read_text() == "6\n"
    assert used.job(6).state is State.PENDING
