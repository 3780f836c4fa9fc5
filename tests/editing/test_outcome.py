"""Edits whose COMMIT fails or is ambiguous: they ask by token and give back what they moved."""

from __future__ import annotations

import os
import signal

import pytest

from rq_py import JobSpec, Queue, State
from rq_py.store import tokens
from tests.editing.conftest import FINISHED, PENDING, files
from tests.store.children import STOPS_ITSELF, child

#: An edit that stops itself where its argument 1 says.
_EDITOR = (
    STOPS_ITSELF
    + """
timeout = float(arguments[3]) if len(arguments) > 3 else None
queue = Queue(arguments[0], timeout=timeout)
edits = {
    "delete": lambda: queue.delete("finished", "pending"),
    "update": lambda: queue.update("pending", command="late", stdin=b"late", data="/etc/hostname"),
    "unset": lambda: queue.update("pending", command="late", stdin=None),
    "resubmit": lambda: queue.resubmit("finished", command="late", stdin=b"late"),
    "touch": lambda: queue.touch("cat", tag="t", stdin=b"late", priority=77),
}
# Only the transaction that writes is to be stopped.
read = transaction.Store.read
def read_unstopped(*values, **further):
    where, arguments[1] = arguments[1], "over"
    try:
        with read(*values, **further) as tx:
            yield tx
    finally:
        arguments[1] = where
import contextlib
transaction.Store.read = contextlib.contextmanager(read_unstopped)
try:
    say("done", len(edits[arguments[2]]()))
except RqError as error:
    say(type(error).__name__, error)
"""
)

_VERBS = {
    "delete": "deleted",
    "update": "updated",
    "unset": "updated",
    "resubmit": "resubmitted",
    "touch": "touched",
}


def state_of(queue: Queue) -> tuple[object, ...]:
    """Everything that a failed edit must leave as it was."""
    content = {name: (queue.path / name).read_bytes() for name in files(queue)}
    return list(queue.jobs()), content


@pytest.mark.parametrize("edit", list(_VERBS))
@pytest.mark.parametrize("where", ["before adopt", "before commit"])
def test_stopped_before_its_commit_it_says_that_nothing_was_done(
    every_state: Queue, edit: str, where: str
) -> None:
    queue = every_state
    if edit == "delete" and where == "before adopt":
        where = "before commit"
    before = state_of(queue)
    with child(_EDITOR, queue.path, where, edit) as editor:
        editor.expect("stopping")
        queue.update(2, priority=0)  # somebody else goes on, with a new generation
        assert (queue.path / "db.2").exists()
        editor.send(signal.SIGCONT)
        said = editor.line()
        assert said.startswith(f"StorageError nothing was {_VERBS[edit]}"), said
    assert state_of(queue) == before


@pytest.mark.parametrize("edit", list(_VERBS))
def test_stopped_after_its_commit_it_finds_its_token(every_state: Queue, edit: str) -> None:
    queue = every_state
    with child(_EDITOR, queue.path, "after commit", edit) as editor:
        editor.expect("stopping")
        queue.update(2, priority=0)
        editor.send(signal.SIGCONT)
        editor.expect(f"done {1 if edit in {'update', 'unset', 'resubmit'} else 2}")
    jobs = {job.jid: job for job in queue.jobs()}
    there = {name for name in files(queue) if name.split("/")[1] in {"1", "4"}}
    if edit == "delete":
        assert sorted(jobs) == [2, 3, 5]
        assert there == set()
    elif edit == "resubmit":
        assert (jobs[FINISHED].command, jobs[FINISHED].state) == ("late", State.PENDING)
        assert queue.stream(FINISHED, "stdin").read_bytes() == b"late"
    elif edit == "unset":
        assert (jobs[PENDING].command, "stdin/1" in there) == ("late", False)
    else:
        assert queue.stream(PENDING, "stdin").read_bytes() == b"late"
        assert jobs[PENDING].command == ("cat" if edit == "touch" else "late")
    assert not [name for name in files(queue) if "/." in name]  # nothing staged or put aside is left


def test_when_it_cannot_ask_it_says_so_and_throws_nothing_away(every_state: Queue) -> None:
    queue = every_state
    with child(_EDITOR, queue.path, "before commit", "update", 0.2) as editor:
        editor.expect("stopping")
        queue.update(2, priority=0)
        with queue.store.write():
            editor.send(signal.SIGCONT)
            said = editor.line()
        assert said.startswith("OutcomeUnknown the jobs may have been updated or not"), said
    # Whoever was first in the new generation has put it back: what the editor renamed was never committed.
    assert queue.stream(PENDING, "stdin").read_bytes() == b"input"


def test_a_commit_that_fails_gives_the_old_stdin_back(queue: Queue) -> None:
    queue.submit_many([JobSpec("x" * 3000) for _ in range(40)], stdin=b"old")
    before = state_of(queue)
    program = """
import resource
queue = Queue(arguments[0])
queue.update(1, priority=1)
size = os.stat(queue.store.generations.current().database).st_size
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
queue.store.notify = say
try:
    queue.update("all", command="y" * 60000, stdin=b"new")
except RqError as error:
    say(type(error).__name__)
"""
    with child(program, queue.path) as editor:
        editor.expect("StorageError")
    queue.update(1, priority=0)
    assert state_of(queue) == before


def test_a_stdin_that_others_have_replaced_since_is_theirs(every_state: Queue) -> None:
    """A stopped update that wakes up late puts back what it finds, but not over what came after it."""
    queue = every_state
    with child(_EDITOR, queue.path, "before commit", "update") as editor:
        editor.expect("stopping")
        queue.update(PENDING, stdin=b"mine", priority=1)
        editor.send(signal.SIGCONT)
        assert editor.line().startswith("StorageError nothing was updated")
    assert queue.stream(PENDING, "stdin").read_bytes() == b"mine"
    assert not [name for name in files(queue) if "/." in name]


def test_what_is_put_aside_is_not_taken_for_old(every_state: Queue) -> None:
    """A feeder that starts in the middle of an update leaves the old stdin, which may be needed again."""
    queue = every_state
    past = (queue.path / "stdin" / "1").stat().st_mtime - 10 * 86400
    os.utime(queue.path / "stdin" / "1", (past, past))
    with child(_EDITOR, queue.path, "before commit", "update") as editor:
        editor.expect("stopping")
        assert [path for path in queue.tidy() if path.parent.name == "stdin"] == []
        editor.send(signal.SIGCONT)
        assert editor.line().startswith("StorageError nothing was updated")
    assert queue.stream(PENDING, "stdin").read_bytes() == b"input"


def test_edits_are_remembered_and_forgotten(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "ALWAYS_REMEMBERED", 2)
    queue.submit("true")
    for priority in range(3):
        queue.update(1, priority=priority)

    def remembered() -> list[tuple[int, int]]:
        with queue.store.read() as tx:
            return list(tx.execute("SELECT first_jid, count FROM submits ORDER BY first_jid"))

    assert remembered() == [(-3, 1), (-2, 1), (-1, 1), (1, 1)]
    with queue.store.write() as tx:
        tx.execute("UPDATE submits SET submitted = '2004-11-12 17:37:10.312094Z'")
    queue.update(1, priority=9)
    assert remembered() == [(-4, 1), (-3, 1), (-2, 1), (1, 1)]
    queue.update(7, priority=9)  # no such job: nothing to remember
    assert remembered() == [(-4, 1), (-3, 1), (-2, 1), (1, 1)]


def test_what_goes_wrong_inside_the_transaction_is_undone_there(every_state: Queue) -> None:
    """Something goes wrong with the second of two jobs; the first has its own back before the lock goes."""
    queue = every_state
    queue.submit("cat", stdin=b"second")
    before = state_of(queue)
    program = """
from rq_py.store import transaction
rename, read = os.rename, transaction.Store.read
def ask(*values):
    say("asked, under another lock")
    return read(*values)
def refuse(source, target):
    if str(target).endswith("stdin/6"):
        transaction.Store.read = ask
        raise OSError(28, "No space left on device", str(target))
    rename(source, target)
os.rename = refuse
try:
    Queue(arguments[0]).update("pending", stdin=b"new", command="new")
except RqError as error:
    say(type(error).__name__)
"""
    with child(program, queue.path) as editor:
        editor.expect("StorageError")
    assert state_of(queue) == before
