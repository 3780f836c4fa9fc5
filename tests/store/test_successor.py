"""Making a generation: by several at once, killed at every step, and while somebody still writes."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing, suppress

import pytest

from rq_py import JobSpec, Queue
from rq_py.errors import StorageError
from rq_py.store import successor
from tests.store.children import child
from tests.store.database import commands, generations, integrity
from tests.store.test_killed import die_between_two_writes

_MAKER = """
from rq_py.store import successor
queue = Queue(arguments[0])
old = queue.dir.generation(1)
say("waiting")
hear()
def at_step(step):
    if step == arguments[1]:
        os.kill(os.getpid(), signal.SIGKILL)
new = successor.make(queue.dir, queue.settings, old, "a test", at_step)
say("made", new.number)
"""

STEPS = ["frozen", "copied", "compared", "checked", "published"]


def test_four_makers_at_once_make_one_generation(queue: Queue) -> None:
    queue.submit("one")
    with (
        child(_MAKER, queue.path, "") as first,
        child(_MAKER, queue.path, "") as second,
        child(_MAKER, queue.path, "") as third,
        child(_MAKER, queue.path, "") as fourth,
    ):
        makers = (first, second, third, fourth)
        for maker in makers:
            maker.expect("waiting")
        for maker in makers:
            maker.tell()
        for maker in makers:
            maker.expect("made 2")
            assert maker.end() == 0
    assert generations(queue) == ["db.1", "db.2"]  # and no draft
    assert commands(queue) == ["one"]
    assert integrity(queue.path / "db.2" / "queue.db") == "ok"


@pytest.mark.parametrize("step", STEPS)
def test_a_maker_killed_at_any_step_is_completed_by_the_next_caller(queue: Queue, step: str) -> None:
    queue.submit("one")
    with child(_MAKER, queue.path, step) as maker:
        maker.expect("waiting")
        maker.tell()
        assert maker.end() == -signal.SIGKILL
    assert commands(queue) == ["one"]
    queue.submit("two")
    assert commands(Queue(queue.path)) == ["one", "two"]
    assert [name for name in generations(queue) if "tmp" not in name] == ["db.1", "db.2"]
    assert integrity(queue.path / "db.2" / "queue.db") == "ok"


def test_every_step_is_one_that_make_takes(queue: Queue) -> None:
    steps: list[str] = []
    successor.make(queue.dir, queue.settings, queue.dir.generation(1), "a test", steps.append)
    assert steps == STEPS


def test_a_half_done_transaction_is_rolled_back_in_the_copy(queue: Queue) -> None:
    die_between_two_writes(queue)
    queue.store.generations.supersede(queue.dir.generation(1), "a test")
    with queue.store.read() as tx:
        assert tx.execute("SELECT count(*), max(priority) FROM jobs").fetchone() == (40, 0)
        assert tx.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("commits", [1, 3])
def test_what_is_written_during_the_copy_is_in_it_whole_or_not_at_all(queue: Queue, commits: int) -> None:
    """A holder that comes back writes between the two passes: copying begins anew."""
    queue.submit("one")
    copies = 0
    old = queue.dir.generation(1)

    def write_meanwhile(step: str) -> None:
        nonlocal copies
        if step == "copied":
            copies += 1
            if copies <= commits:
                with closing(sqlite3.connect(old.database)) as late:
                    late.execute("PRAGMA journal_mode=PERSIST")
                    late.execute("UPDATE jobs SET tag = ?", (f"late {copies}",))
                    late.commit()

    successor.make(queue.dir, queue.settings, old, "a test", write_meanwhile)
    assert copies == commits + 1
    (job,) = queue.jobs()
    assert job.tag == f"late {commits}"
    assert integrity(queue.path / "db.2" / "queue.db") == "ok"


def test_a_database_and_journal_that_do_not_fit_together_are_not_copied(queue: Queue) -> None:
    """The database is copied before, the journal after a commit has begun: only comparing tells."""
    queue.submit_many(_jobs())
    old = queue.dir.generation(1)
    original = successor._copy_file
    state = {"late": False}

    def copy_file(source: object, copy: object, mode: int) -> None:
        original(source, copy, mode)  # type: ignore[arg-type]
        if not state["late"]:
            state["late"] = True
            _leave_hot_journal(queue)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(successor, "_copy_file", copy_file)
        successor.make(queue.dir, queue.settings, old, "a test")
    assert integrity(queue.path / "db.2" / "queue.db") == "ok"
    with queue.store.read() as tx:
        assert tx.execute("SELECT count(*), max(priority) FROM jobs").fetchone() == (40, 0)


def _jobs() -> list[JobSpec]:
    return [JobSpec("true " + "x" * 3000) for _ in range(40)]


def _leave_hot_journal(queue: Queue) -> None:
    """A writer that woke up after the freezing and died in its COMMIT."""
    program = """
import resource, sqlite3
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
size = os.stat(arguments[0]).st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
connection = sqlite3.connect(arguments[0], isolation_level=None)
connection.execute("PRAGMA journal_mode=PERSIST")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE jobs SET priority = 7")
for _ in range(20):
    connection.execute("INSERT INTO jobs (priority, state, submitted, submitter, command)"
                       " VALUES (7, 'holding', '', '', ?)", ("y" * 3000,))
connection.execute("COMMIT")
"""
    with child(program, queue.path / "db.1" / "queue.db") as late:
        assert late.end() == -signal.SIGXFSZ


def test_a_corrupt_database_makes_no_generation(queue: Queue) -> None:
    queue.submit_many(_jobs())
    database = queue.path / "db.1" / "queue.db"
    content = bytearray(database.read_bytes())
    with closing(sqlite3.connect(database)) as looker:
        (page,) = looker.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs_state'").fetchone()
    content[4096 * (page - 1) : 4096 * page] = b"\xff" * 4096
    database.write_bytes(content)
    with pytest.raises(StorageError) as caught:
        queue.store.generations.supersede(queue.dir.generation(1), "a test")
    assert "\n" not in str(caught.value)
    assert generations(queue) == ["db.1"]
    with suppress(StorageError):
        commands(queue)
    assert generations(queue) == ["db.1"]
