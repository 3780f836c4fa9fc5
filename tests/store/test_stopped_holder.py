"""A holder that is stopped with the lock in its hands: others go on without it, and it notices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.errors import LockTimeout, OutcomeUnknown
from rq_py.locking.mounts import Fence
from rq_py.locking.owner import Owner
from rq_py.locking.record import Phase, Record
from tests.nfs import stops
from tests.store.children import STOPS_ITSELF, child
from tests.store.database import commands, generations, insert, integrity

_HOLDER = """
queue = Queue(arguments[0])
try:
    with queue.store.write() as tx:
        tx.execute("INSERT INTO jobs (priority, state, submitted, submitter, command)"
                   " VALUES (0, 'holding', '', '', 'late')")
        say("inside")
        os.kill(os.getpid(), signal.SIGSTOP)
    say("acknowledged")
except RqError as error:
    say(type(error).__name__)
"""

#: A submit that stops itself where its argument 1 says.
_SUBMITTER = (
    STOPS_ITSELF
    + """
queue = Queue(arguments[0])
try:
    job = queue.submit("late", stdin=b"input")
    say("submitted", job.jid)
except RqError as error:
    say(type(error).__name__, error)
"""
)


def test_others_go_on_and_the_holder_finds_its_commit_refused(queue: Queue) -> None:
    queue.submit("before")
    lines: list[str] = []
    queue.store.notify = lines.append
    with child(_HOLDER, queue.path) as holder:
        holder.expect("inside")
        queue.submit("meanwhile")
        assert any("stuck" in line for line in lines)
        assert generations(queue) == ["db.1", "db.2"]
        holder.send(signal.SIGCONT)
        holder.expect(OutcomeUnknown.__name__)
    assert commands(queue) == ["before", "meanwhile"]
    assert integrity(queue.path / "db.2" / "queue.db") == "ok"


def test_tries_that_time_out_count_on(queue: Queue) -> None:
    """A feeder waits a few seconds at a time; each try alone is shorter than the lease."""
    with child(_HOLDER, queue.path) as holder:
        holder.expect("inside")
        timeouts = 0
        while generations(queue) == ["db.1"]:
            assert timeouts < 20
            try:
                with queue.store.write(timeout=queue.settings.lock_lease * 0.7):
                    pass
            except LockTimeout:
                timeouts += 1
        assert timeouts > 0
        holder.send(signal.SIGCONT)
        holder.expect(OutcomeUnknown.__name__)


def test_a_holder_that_beats_is_not_stuck(queue: Queue) -> None:
    program = """
import time
queue = Queue(arguments[0])
with queue.store.write() as tx:
    say("inside")
    for _ in range(75):
        time.sleep(0.1)
        tx.beat()
say("acknowledged")
"""
    queue.configure({"lock_lease": "3"})  # on a busy machine a second without a beat is nothing
    queue = Queue(queue.path)
    with child(program, queue.path) as holder:
        holder.expect("inside")
        # Waits through it: two leases and a half.
        assert commands(queue) == []
        holder.expect("acknowledged")
    assert generations(queue) == ["db.1"]


@pytest.mark.parametrize("where", ["before adopt", "before commit"])
def test_a_submit_stopped_before_its_commit_says_that_nothing_was_submitted(queue: Queue, where: str) -> None:
    with child(_SUBMITTER, queue.path, where) as submitter:
        submitter.expect("stopping")
        mine = queue.submit("meanwhile", stdin=b"mine")
        submitter.send(signal.SIGCONT)
        said = submitter.line()
        assert said.startswith("StorageError nothing was submitted"), said
    assert [job.command for job in queue.jobs()] == ["meanwhile"]
    # It renamed its stdin late, but not to that of a job that is in the queue.
    assert queue.stream(mine.jid, "stdin").read_bytes() == b"mine"
    assert sorted(os.listdir(queue.path / "stdin")) == [str(mine.jid)]


def test_a_submit_stopped_after_its_commit_finds_its_token(queue: Queue) -> None:
    with child(_SUBMITTER, queue.path, "after commit") as submitter:
        submitter.expect("stopping")
        queue.submit("meanwhile")
        submitter.send(signal.SIGCONT)
        submitter.expect("submitted 1")
    assert [(job.jid, job.command) for job in queue.jobs()] == [(1, "late"), (2, "meanwhile")]
    assert queue.stream(1, "stdin").read_bytes() == b"input"


def test_a_submit_that_cannot_ask_says_that_it_does_not_know(queue: Queue) -> None:
    program = _SUBMITTER.replace("queue = Queue(arguments[0])", "queue = Queue(arguments[0], timeout=0.2)")
    with child(program, queue.path, "after commit") as submitter:
        submitter.expect("stopping")
        queue.submit("meanwhile")
        with queue.store.write():
            submitter.send(signal.SIGCONT)
            said = submitter.line()
    assert said.startswith("OutcomeUnknown the jobs may have been submitted or not"), said


def test_every_acknowledged_commit_is_in_the_new_generation(queue: Queue) -> None:
    """Writers go on all the time while two generations are made: nothing that was acknowledged is lost."""
    program = """
queue = Queue(arguments[0])
number = 0
while number < 400:
    try:
        with queue.store.write() as tx:
            tx.execute("INSERT INTO jobs (priority, state, submitted, submitter, command)"
                       " VALUES (0, 'holding', '', '', ?)", (f"{arguments[1]}.{number}",))
    except RqError as error:
        say("no", f"{arguments[1]}.{number}")
    else:
        say("yes", f"{arguments[1]}.{number}")
    number += 1
say("end")
"""
    with child(program, queue.path, "a") as first, child(program, queue.path, "b") as second:
        said = [first.line(), second.line()]
        for _ in range(3):
            queue.store.generations.supersede(queue.store.generations.current(), "a test")
            said += [first.line(), second.line()]
        for writer in (first, second):
            while (line := writer.line(60)) != "end":
                assert line
                said.append(line)
    acknowledged = {line[4:] for line in said if line.startswith("yes ")}
    refused = {line[3:] for line in said if line.startswith("no ")}
    found = commands(queue)
    assert len(found) == len(set(found))
    assert acknowledged <= set(found)
    assert acknowledged | refused >= set(found)
    assert len(refused) < 8  # one commit at most in each hand when a generation was frozen
    assert generations(queue) == ["db.1", "db.2", "db.3", "db.4"]


@pytest.mark.parametrize(
    ("phase", "fence", "expected"),
    [
        (Phase.WRITING, Fence.NOBODY, ["db.1", "db.2"]),
        (Phase.WRITING, Fence.SERVER, ["db.1"]),
        (Phase.WRITING, Fence.KERNEL, ["db.1"]),
        (Phase.ROLLING_BACK, Fence.NOBODY, ["db.1", "db.2"]),
        (Phase.ROLLING_BACK, Fence.SERVER, ["db.1", "db.2"]),
        (Phase.ROLLING_BACK, Fence.KERNEL, ["db.1"]),
        (Phase.READING, Fence.NOBODY, ["db.1"]),
        (Phase.FREE, Fence.NOBODY, ["db.1"]),
    ],
)
def test_a_writer_that_vanished_where_nobody_fences_it(
    queue: Queue, phase: Phase, fence: Fence, expected: list[str]
) -> None:
    queue.submit("one")
    elsewhere = Owner("elsewhere", 0, 4711, 1, "00000000-0000-0000-0000-000000000000")
    (queue.path / "db.1" / "lock").write_bytes(Record(elsewhere, phase, "0123456789abcdef").encode())
    queue.store._fence = fence
    assert commands(queue) == ["one"]
    assert generations(queue) == expected


def test_who_vanished_while_it_rolled_back_needs_a_new_generation_on_nfs(
    queue: Queue, environment: dict[str, str], tmp_path: Path
) -> None:
    """Its late write of the journal's header would take the roll-back from the next writer that is killed."""
    queue.submit("one")
    mark = tmp_path / "mark"
    for moment, words in (("page:3", ("submit", "half")), ("zeroed", ("list",))):
        mark.write_bytes(b"")
        command = [sys.executable, stops.__file__, "kill", moment, str(mark), str(queue.path), *words]
        assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    record = read_record(queue)
    assert record is not None
    assert record.phase is Phase.ROLLING_BACK
    elsewhere = Owner("elsewhere", 0, 4711, 1, "00000000-0000-0000-0000-000000000000")
    (queue.path / "db.1" / "lock").write_bytes(record._replace(owner=elsewhere).encode())
    queue.store._fence = Fence.SERVER
    assert commands(queue) == ["one"]
    assert generations(queue) == ["db.1", "db.2"]


def test_a_killed_writer_of_this_boot_needs_no_new_generation(queue: Queue) -> None:
    queue.store._fence = Fence.NOBODY
    with child(_HOLDER, queue.path) as holder:
        holder.expect("inside")
        holder.kill()
    record = read_record(queue)
    assert record is not None
    assert record.phase is Phase.WRITING
    assert record.owner.pid == holder.pid
    assert record.owner.is_provably_dead()
    assert commands(queue) == []
    assert generations(queue) == ["db.1"]


def read_record(queue: Queue) -> Record | None:
    """The record in the lock of the first generation."""
    return Record.decode(Path(queue.path / "db.1" / "lock").read_bytes())


def test_the_record_names_the_holder_and_is_cleared_at_the_end(queue: Queue, this_node: str) -> None:
    program = """
with Queue(arguments[0]).store.write() as tx:
    say("inside")
    hear()
say("left")
hear()
"""
    with child(program, queue.path) as holder:
        holder.expect("inside")
        during = read_record(queue)
        assert during is not None
        assert (during.owner.node, during.owner.pid, during.phase) == (this_node, holder.pid, Phase.WRITING)
        holder.tell()
        holder.expect("left")
        after = read_record(queue)
        assert after is not None
        assert (after.phase, after.token) == (Phase.FREE, during.token)
    with queue.store.read():
        pass
    assert (queue.path / "db.1" / "lock").stat().st_size == 512


def test_the_record_is_cleared_after_a_failure_too(queue: Queue) -> None:
    with pytest.raises(ZeroDivisionError), queue.store.write() as tx:
        insert(tx, "never")
        raise ZeroDivisionError
    record = read_record(queue)
    assert record is not None
    assert record.phase is Phase.FREE
