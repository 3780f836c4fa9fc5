"""Recover: what is checked, what is saved of a corrupt database, and that feeders live through it."""

from __future__ import annotations

import grp
import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from rq_py import JobSpec, Queue, State
from rq_py.errors import Corrupt, FormatTooOld, StorageError
from tests.conftest import Rqpy
from tests.copying.jobs import end, jids
from tests.feeder.conftest import Feed
from tests.store.children import child
from tests.store.database import generations, integrity
from tests.store.strangers import PRELUDE
from tests.store.tally import assert_kept
from tests.waiting import wait_until

PAGE = 4096


def overwrite_page(database: Path, number: int) -> None:
    """Damage one page."""
    with database.open("r+b") as file:
        file.seek(PAGE * (number - 1))
        file.write(b"\xff" * PAGE)


def root_page(database: Path, name: str) -> int:
    """The page at which a table or an index begins."""
    with closing(sqlite3.connect(database)) as looker:
        (page,) = looker.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    return int(page)


def leaf_page(database: Path, text: bytes) -> int:
    """The page that holds a text."""
    return database.read_bytes().index(text) // PAGE + 1


@pytest.fixture
def full(queue: Queue) -> Queue:
    """A queue of 400 jobs on many pages, half of them finished."""
    queue.submit_many(JobSpec(f"echo job-{number:04d} {'x' * 200}") for number in range(1, 401))
    end(queue, range(1, 201))
    return queue


def test_a_sound_database(rqpy: Rqpy, used: Queue) -> None:
    used.dir.database_link.unlink()
    used.dir.generation_hint.write_text("7\n")
    found = rqpy("recover", queue=used.path, check=True).stdout
    assert found == f"---\nq: {used.path}\nintegrity: ok\ngeneration: 1\n"
    assert generations(used) == ["db.1"]
    assert used.dir.database_link.exists()
    assert used.dir.generation_hint.read_text() == "1\n"


def test_a_damaged_index_costs_nothing(rqpy: Rqpy, full: Queue) -> None:
    before = list(full.jobs())
    database = full.path / "db.1" / "queue.db"
    overwrite_page(database, root_page(database, "jobs_state"))
    done = rqpy("recover", queue=full.path, check=True)
    found = yaml.safe_load(done.stdout)
    assert found["integrity"] != "ok"
    assert (found["repaired"], found["generation"]) == (True, 2)
    assert (found["jobs_saved"], found["jobs_lost"]) == (400, 0)
    assert list(full.jobs()) == before
    assert next(full.jobs("pending")).jid == 201
    assert generations(full) == ["db.1", "db.2"]
    assert integrity(full.path / "db.2" / "queue.db") == "ok"
    with full.store.read() as tx:
        assert tx.execute("SELECT count(*) FROM jobs WHERE ready = ''").fetchone() == (200,)
        assert tx.execute("SELECT count(*) FROM submits").fetchone() == (1,)
    assert full.submit("next").jid == 401


def test_a_damaged_page_of_rows_costs_these_rows_only(rqpy: Rqpy, full: Queue) -> None:
    before = {job.jid: job for job in full.jobs()}
    database = full.path / "db.1" / "queue.db"
    overwrite_page(database, leaf_page(database, b"job-0100"))
    overwrite_page(database, leaf_page(database, b"job-0400"))
    done = rqpy("recover", queue=full.path)
    assert done.returncode == 1
    found = yaml.safe_load(done.stdout)
    after = {job.jid: job for job in full.jobs()}
    assert 100 not in after
    assert 400 not in after
    assert 330 < len(after) == found["jobs_saved"]
    assert found["jobs_lost"] == 400 - len(after)
    assert after == {jid: before[jid] for jid in after}
    assert full.submit("next").jid == 401
    kept = full.path / "db.1.corrupt"
    assert found["corrupt"] == str(kept)
    assert (kept / "queue.db").samefile(database)
    for path in (full.path / "db.1").iterdir():
        os.utime(path, (0, 0))
    full.store.generations.prune()
    assert not (full.path / "db.1").exists()
    assert (kept / "queue.db").exists()


_MEMBER = """
become(int(arguments[1]), 1)
from rq_py.store import successor
if arguments[2] == "dies":
    successor._complete = lambda *_: os._exit(9)
attempt(lambda: Queue(arguments[0]).recover()["corrupt"])
"""


def corrupt_queue_of_a_group(path: Path) -> tuple[Queue, Path, Path]:
    """A queue of group 1 that has lost jobs, its database, and where that will be kept."""
    queue = Queue.create(path, group=grp.getgrgid(1).gr_name)
    queue.submit_many(JobSpec(f"echo job-{number:04d} {'x' * 200}", cwd="/") for number in range(1, 401))
    database = queue.path / "db.1" / "queue.db"
    overwrite_page(database, leaf_page(database, b"job-0100"))
    return queue, database, queue.path / "db.1.corrupt"


@pytest.mark.root
@pytest.mark.parametrize("found", ["nothing", "whole", "empty"])
def test_a_member_of_the_group_completes_what_another_was_killed_in(open_path: Path, found: str) -> None:
    """Killed when the corrupt files are kept, and before there is a new generation; or in an older rqpy."""
    queue, database, kept = corrupt_queue_of_a_group(open_path / "q")
    if found == "whole":
        with child(PRELUDE + _MEMBER, queue.path, 23456, "dies") as killed:
            assert killed.end() == 9
        assert sorted(path.name for path in kept.iterdir()) == ["queue.db", "queue.db-journal"]
        assert kept.stat().st_mode & 0o7777 == 0o2770
        assert (queue.path / "db.1" / "frozen").read_text()
        assert not (queue.path / "db.2").exists()
    elif found == "empty":
        kept.mkdir(0o700)
        os.chown(kept, 23456, 1)
        kept.chmod(0o700)
    with child(PRELUDE + _MEMBER, queue.path, 23457, "goes on") as member:
        assert member.line(60) == f"ok {kept}"
    assert (kept / "queue.db").samefile(database)
    assert 330 < len(list(queue.jobs())) < 400


@pytest.mark.root
def test_a_folder_of_kept_files_that_nobody_else_can_write_is_left_alone(open_path: Path) -> None:
    queue, database, kept = corrupt_queue_of_a_group(open_path / "q")
    kept.mkdir(0o700)
    (kept / "queue.db").hardlink_to(database)
    with child(PRELUDE + _MEMBER, queue.path, 23457, "goes on") as member:
        assert member.line(60) == f"ok {kept}"
    assert list(kept.iterdir()) == [kept / "queue.db"]


def test_jids_of_lost_jobs_are_not_given_again(full: Queue) -> None:
    (full.dir.path / "stdout" / "450").write_text("of a job that nobody knows any more")
    database = full.path / "db.1" / "queue.db"
    overwrite_page(database, root_page(database, "sqlite_sequence"))
    overwrite_page(database, leaf_page(database, b"job-0400"))
    full.recover()
    assert full.submit("next").jid == 451


@pytest.mark.parametrize("damage", ["header", "empty"])
def test_nothing_can_be_read(rqpy: Rqpy, full: Queue, damage: str) -> None:
    database = full.path / "db.1" / "queue.db"
    if damage == "header":
        overwrite_page(database, 1)
    else:
        database.write_bytes(b"")
    with pytest.raises((Corrupt, StorageError, FormatTooOld)):
        list(full.jobs())
    done = rqpy("recover", queue=full.path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "restore a backup" in done.stderr or "recover --upgrade" in done.stderr


def test_a_frozen_and_corrupt_generation_without_a_successor(full: Queue) -> None:
    """Somebody has tried to replace it before."""
    database = full.path / "db.1" / "queue.db"
    overwrite_page(database, root_page(database, "jobs_state"))
    with pytest.raises(Corrupt, match="recover"):
        full.store.generations.supersede(full.dir.generation(1), "a test")
    with pytest.raises(Corrupt, match="recover"):
        full.submit("true")
    assert full.recover()["jobs_saved"] == 400
    assert len(jids(full)) == 400
    assert full.recover() == {"q": str(full.path), "integrity": "ok", "generation": 2}


def test_a_corrupt_queue_of_an_older_schema(rqpy: Rqpy, queue_path: Path) -> None:
    """It can neither be upgraded as it is nor recovered without: what can be read gets the present schema."""
    archive = Path(__file__).resolve().parent.parent / "store" / "queues" / "format-1.tar"
    queue_path.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", queue_path, "--strip-components=1"], check=True)
    database = queue_path / "db.1" / "queue.db"
    overwrite_page(database, root_page(database, "jobs_state"))
    assert "recover --upgrade" in rqpy("recover", queue=queue_path).stderr
    found = yaml.safe_load(rqpy("recover", "--upgrade", queue=queue_path, check=True).stdout)
    assert (found["repaired"], found["jobs_saved"], found["jobs_lost"]) == (True, 6, 0)
    queue = Queue(queue_path)
    assert jids(queue) == [1, 2, 3, 4, 5, 6]
    with queue.store.read() as tx:
        assert_kept(tx)


def test_a_locked_mount_is_no_damage(full: Queue) -> None:
    """What is not the database's fault makes no generation."""
    (full.path / "db.1" / "lock").unlink()
    with pytest.raises(StorageError):
        full.recover()
    assert generations(full) == ["db.1"]


_HOLDER = """
queue = Queue(arguments[0])
with queue.store.write() as tx:
    tx.execute("UPDATE jobs SET priority = 9")
    say("holding")
    hear()
say("committed")
"""


def test_break_does_not_wait_for_the_holder(rqpy: Rqpy, used: Queue) -> None:
    with child(_HOLDER, used.path) as holder:
        holder.expect("holding")
        holder.send(signal.SIGSTOP)
        found = yaml.safe_load(rqpy("recover", "--break", queue=used.path, check=True, timeout=20).stdout)
        assert found == {"q": str(used.path), "broken": "db.1", "integrity": "ok", "generation": 2}
        holder.send(signal.SIGCONT)
        holder.tell()
        assert holder.line() == ""
        assert "was replaced during the COMMIT" in holder.errors()
    assert {job.priority for job in used.jobs()} == {0}


def test_upgrade(rqpy: Rqpy, used: Queue) -> None:
    found = yaml.safe_load(rqpy("recover", "--upgrade", queue=used.path, check=True).stdout)
    assert found == {"q": str(used.path), "upgraded": [], "integrity": "ok", "generation": 1}
    with closing(sqlite3.connect(used.path / "db.1" / "queue.db")) as connection:
        connection.execute("PRAGMA journal_mode=PERSIST")
        connection.execute("PRAGMA user_version = 0")
    refused = rqpy("recover", queue=used.path)
    assert refused.returncode == 1
    assert "recover --upgrade" in refused.stderr
    assert generations(used) == ["db.1"]
    assert rqpy("recover", "--upgrade", "--break", queue=used.path).returncode == 2


def test_a_rotation_can_be_recovered(used: Queue, tmp_path: Path) -> None:
    used.rotate(tmp_path / "r")
    rotation = Queue(tmp_path / "r")
    database = rotation.path / "db.1" / "queue.db"
    overwrite_page(database, root_page(database, "jobs_state"))
    assert rotation.recover()["jobs_saved"] == 5
    assert jids(rotation) == [1, 2, 3, 4, 5]


def test_a_feeder_lives_through_it(queue: Queue, feed: Feed, rqpy: Rqpy, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    queue.submit(f"read x < {go}; echo done")
    feeder = feed("--max-feed", "2")
    wait_until(lambda: queue.job(1).state is State.RUNNING)
    rqpy("recover", "--break", queue=queue.path, check=True)
    database = queue.path / "db.2" / "queue.db"
    overwrite_page(database, root_page(database, "jobs_state"))
    found = yaml.safe_load(rqpy("recover", queue=queue.path, check=True).stdout)
    assert (found["generation"], found["jobs_lost"]) == (3, 0)
    go.write_text("go\n")
    wait_until(lambda: queue.job(1).state is State.FINISHED, 40)
    assert queue.stream(1, "stdout").read_text() == "done\n"
    job = queue.submit("echo next")
    wait_until(lambda: queue.job(job.jid).state is State.FINISHED, 40)
    assert feeder.process.poll() is None
    assert integrity(queue.path / "db.3" / "queue.db") == "ok"
