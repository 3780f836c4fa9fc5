"""What is wrong with a queue is found: permissions, generation, database, holder, leftovers, local state."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.queuedir import LOCAL_ROOT, local_state_path
from tests.conftest import Rqpy, command_line
from tests.doctor.reports import finding_of, report_of, verdicts_of
from tests.waiting import wait_until


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    """A private queue."""
    return Queue.create(queue_path)


def test_a_queue_that_everybody_can_write(rqpy: Rqpy, queue: Queue) -> None:
    queue.path.chmod(0o777)
    done = rqpy("doctor", queue=queue.path)
    assert done.returncode == 1
    assert report_of(done)["verdict"] == "unsafe"
    found = finding_of(done, "writers")
    assert found["verdict"] == "unsafe"
    assert "runs commands as everyone who feeds it" in found["what"]
    assert "everybody" in found["what"]
    assert verdicts_of(done)["queue_modes"] == "unsafe"


def test_a_private_queue_that_a_group_can_write(rqpy: Rqpy, queue: Queue) -> None:
    queue.path.chmod(0o770)
    done = rqpy("doctor", queue=queue.path)
    assert done.returncode == 0
    assert finding_of(done, "writers")["verdict"] == "advice"
    assert "group" in finding_of(done, "writers")["what"]
    assert "0770 instead of 0700" in finding_of(done, "queue_modes")["what"]


def test_a_database_that_everybody_can_write(rqpy: Rqpy, queue: Queue) -> None:
    (queue.path / "db.1" / "queue.db").chmod(0o666)
    done = rqpy("doctor", queue=queue.path)
    assert done.returncode == 1
    assert "queue.db has 0666 instead of 0600" in finding_of(done, "queue_modes")["what"]


@pytest.mark.root
def test_a_group_queue_is_named_as_what_it_is(rqpy: Rqpy, queue_path: Path) -> None:
    rqpy("create", "--group", "daemon", queue=queue_path, check=True)
    done = rqpy("doctor", queue=queue_path)
    found = finding_of(done, "writers")
    assert found["verdict"] == "ok"
    assert "whoever can write the queue runs commands as everyone who feeds it" in found["what"]
    assert "group daemon" in found["what"]
    assert verdicts_of(done)["queue_modes"] == "ok"
    (queue_path / "stdout").chmod(0o770)
    assert "0770 instead of 2770" in finding_of(rqpy("doctor", queue=queue_path), "queue_modes")["what"]
    (queue_path / "stdout").chmod(0o2770)
    os.chown(queue_path / "stdout", -1, 0)
    (queue_path / "stdout").chmod(0o2770)
    assert "instead of daemon" in finding_of(rqpy("doctor", queue=queue_path), "queue_modes")["what"]


def test_somebody_can_put_another_queue_in_its_place(rqpy: Rqpy, tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    Queue.create(place / "q")
    place.chmod(0o777)
    done = rqpy("doctor", queue=place / "q")
    assert done.returncode == 1
    assert f"everybody can write {place}" in finding_of(done, "way")["what"]
    assert rqpy("doctor", queue=place).returncode == 1
    place.chmod(0o1777)
    assert verdicts_of(rqpy("doctor", queue=place / "q"))["way"] == "ok"


@pytest.mark.root
def test_somebody_elses_directory_on_the_way(rqpy: Rqpy, tmp_path: Path) -> None:
    place = tmp_path / "theirs"
    place.mkdir()
    Queue.create(place / "q")
    os.chown(place, 12345, -1)
    assert "belongs to uid 12345" in finding_of(rqpy("doctor", queue=place / "q"), "way")["what"]


@pytest.mark.root
def test_of_several_bad_directories_on_the_way_the_worst_is_named(rqpy: Rqpy, tmp_path: Path) -> None:
    outer, inner = tmp_path / "a", tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    Queue.create(inner / "q")
    os.chown(outer, 12345, -1)
    inner.chmod(0o777)
    done = rqpy("doctor", queue=inner / "q")
    assert done.returncode == 1
    assert finding_of(done, "way")["verdict"] == "unsafe"
    assert f"everybody can write {inner}" in finding_of(done, "way")["what"]
    assert f"everybody can write {inner}" in finding_of(rqpy("doctor", queue=inner), "way")["what"]
    inner.chmod(0o755)
    os.chown(inner, 12346, -1)
    assert f"{inner} belongs to uid 12346" in finding_of(rqpy("doctor", queue=inner / "q"), "way")["what"]


def test_a_queue_without_a_database(rqpy: Rqpy, queue: Queue) -> None:
    (queue.path / "db.1").rename(queue.path / "away")
    done = rqpy("doctor", queue=queue.path)
    assert done.returncode == 1
    assert finding_of(done, "generation")["verdict"] == "unsafe"
    assert not (queue.path / "db.2").exists()


def test_a_frozen_generation_is_left_as_it_is(rqpy: Rqpy, queue: Queue) -> None:
    (queue.path / "db.1" / "frozen").write_text("why\n")
    done = rqpy("doctor", queue=queue.path)
    assert (done.returncode, verdicts_of(done)["generation"]) == (0, "advice")
    assert not (queue.path / "db.2").exists(), "a doctor makes no generation"


def test_a_later_generation_is_current(rqpy: Rqpy, queue: Queue) -> None:
    rqpy("recover", "--break", queue=queue.path, check=True)
    found = finding_of(rqpy("doctor", queue=queue.path), "generation")
    assert found == {
        "check": "generation",
        "verdict": "ok",
        "what": "db.2 is current, and 1 older: a feeder removes them after a day",
    }


def test_a_database_in_wal_mode(rqpy: Rqpy, queue: Queue) -> None:
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('pragma journal_mode=wal')"
    subprocess.run(
        [sys.executable, "-c", program, queue.path / "db.1" / "queue.db"], check=True, timeout=60, cwd="/"
    )
    done = rqpy("doctor", queue=queue.path)
    assert done.returncode == 1
    assert "WAL" in finding_of(done, "database")["what"]


def test_a_journal_that_somebody_deleted(rqpy: Rqpy, queue: Queue) -> None:
    (queue.path / "db.1" / "queue.db-journal").unlink()
    assert verdicts_of(rqpy("doctor", queue=queue.path))["database"] == "advice"
    assert not (queue.path / "db.1" / "queue.db-journal").exists()


@pytest.fixture
def holder(queue: Queue, rqpy: Rqpy) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the queue lock, until its stdin is closed."""
    process = subprocess.Popen(
        command_line(queue.path, "lock", "write", "--", "sh", "-c", "echo held; cat"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=rqpy.environment,
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate(timeout=60)


def test_who_holds_the_lock_is_named(rqpy: Rqpy, queue: Queue, holder: subprocess.Popen[bytes]) -> None:
    done = rqpy("doctor", queue=queue.path)
    found = finding_of(done, "lock")
    assert found["verdict"] == "ok", "it beats"
    assert f"pid {holder.pid} of uid {os.getuid()} on {rqpy.environment['RQ_NODE']}" in found["what"]


def test_a_holder_that_shows_no_sign_of_life(
    rqpy: Rqpy, queue: Queue, holder: subprocess.Popen[bytes]
) -> None:
    record = queue.path / "db.1" / "lock"
    content = record.read_bytes()
    wait_until(lambda: record.read_bytes() != content)
    holder.send_signal(19)  # STOP
    found = finding_of(rqpy("doctor", queue=queue.path), "lock")
    holder.send_signal(18)  # CONT
    assert found["verdict"] == "advice"
    assert f"pid {holder.pid} " in found["what"]
    assert "recover --break" in found["do"]


def test_what_was_left_behind_is_counted(rqpy: Rqpy, queue: Queue) -> None:
    (queue.path / "db.tmp.0123").mkdir()
    for name in ("stdout/.nfs0001", "db.1/.nfs0002", ".nfs0003"):
        (queue.path / name).write_text("")
    found = finding_of(rqpy("doctor", queue=queue.path), "left_behind")
    assert found["verdict"] == "advice"
    assert found["what"] == "3 .nfs* files, 1 unfinished generations"


@pytest.mark.parametrize("is_queue", [True, False])
def test_local_state_that_somebody_has_planted(
    rqpy: Rqpy, queue: Queue, tmp_path: Path, node: str, *, is_queue: bool
) -> None:
    path = local_state_path(os.getuid(), node, queue.settings.uuid)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.mkdir()
    path.chmod(0o755)
    done = rqpy("doctor", queue=queue.path if is_queue else tmp_path)
    found = finding_of(done, "local_state")
    if is_queue:
        assert (done.returncode, found["verdict"]) == (1, "unsafe")
        assert "its mode is 0755, not 0700" in found["what"]
    else:
        assert (done.returncode, found["verdict"]) == (0, "ok")


def test_local_state_is_not_made(rqpy: Rqpy, queue: Queue, node: str) -> None:
    rqpy("doctor", queue=queue.path, check=True)
    assert list(LOCAL_ROOT.glob(f"rqpy-*/{node}*")) == []


def test_few_open_files(rqpy: Rqpy, queue: Queue) -> None:
    arguments = " ".join(f"'{word}'" for word in command_line(queue.path, "doctor"))
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 100; exec {arguments}"],
        env=rqpy.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert verdicts_of(done)["open_files"] == "advice"
