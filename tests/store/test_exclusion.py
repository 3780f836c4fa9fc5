"""Who excludes whom: processes, threads, nested transactions, signals, and what LockTimeout says."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.errors import LockTimeout
from tests.store.children import LOOKER, child
from tests.store.database import commands, insert
from tests.waiting import wait_until

#: Opens a write transaction, inserts "inside", and leaves it when told.
HOLDER = """
queue = Queue(arguments[0])
with queue.store.write() as tx:
    tx.execute("INSERT INTO jobs (priority, state, submitted, submitter, command)"
               " VALUES (0, 'holding', '', '', 'inside')")
    say("holding")
    hear()
say("committed")
"""


def test_two_processes_exclude_each_other(queue: Queue) -> None:
    program = """
queue = Queue(arguments[0])
for _ in range(40):
    with queue.store.write() as tx:
        (number,) = tx.execute("SELECT coalesce(max(priority), 0) FROM jobs").fetchone()
        tx.execute("INSERT INTO jobs (priority, state, submitted, submitter, command)"
                   " VALUES (?, 'holding', '', '', '')", (number + 1,))
say("done")
"""
    with child(program, queue.path) as first, child(program, queue.path) as second:
        first.expect("done", 60)
        second.expect("done", 60)
    assert sorted(job.priority for job in queue.jobs()) == list(range(1, 81))


def test_threads_exclude_each_other_with_one_queue_and_with_two(queue: Queue) -> None:
    def work(mine: Queue) -> None:
        for _ in range(25):
            with mine.store.write() as tx:
                (number,) = tx.execute("SELECT coalesce(max(priority), 0) FROM jobs").fetchone()
                tx.execute(
                    "INSERT INTO jobs (priority, state, submitted, submitter, command)"
                    " VALUES (?, 'holding', '', '', '')",
                    (number + 1,),
                )

    queues = [queue, queue, Queue(queue.path)]
    threads = [threading.Thread(target=work, args=(mine,)) for mine in queues]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(job.priority for job in queue.jobs()) == list(range(1, 76))


def test_a_thread_waits_for_another_no_longer_than_its_timeout(queue: Queue) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with queue.store.write():
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(20)
        with pytest.raises(LockTimeout, match="another thread"), queue.store.read(timeout=0.2):
            pass
    finally:
        leave.set()
        thread.join(20)
    assert commands(queue) == []


def test_a_transaction_inside_another_is_refused_and_the_outer_goes_on(queue: Queue) -> None:
    with queue.store.write() as tx:
        insert(tx, "outer")
        with pytest.raises(RuntimeError, match="do not nest"), Queue(queue.path).store.read():
            pass
        with pytest.raises(RuntimeError, match="do not nest"):
            queue.store.mark()
    assert commands(queue) == ["outer"]


def test_mark_in_another_thread_leaves_the_journal_locked(queue: Queue) -> None:
    marks: list[object] = []
    thread = threading.Thread(target=lambda: marks.append(queue.store.mark()))
    with queue.store.write() as tx:
        insert(tx, "one")
        thread.start()
        thread.join(0.3)
        assert journal_is_locked(queue)
    thread.join(20)
    assert len(marks) == 1


def journal_is_locked(queue: Queue) -> bool:
    """Whether a foreign process finds the journal locked."""
    with child(LOOKER, queue.path / "db.1" / "queue.db-journal") as looker:
        return looker.line() == "locked"


def test_the_journal_is_locked_from_begin_to_the_end_of_a_write(queue: Queue) -> None:
    assert not journal_is_locked(queue)
    with queue.store.write() as tx:
        assert journal_is_locked(queue)
        insert(tx, "one")
        assert journal_is_locked(queue)
        tx.execute("SELECT count(*) FROM jobs").fetchall()
        assert journal_is_locked(queue)
    assert not journal_is_locked(queue)


def test_the_journal_stays_locked_after_a_roll_back_at_the_beginning(queue: Queue) -> None:
    """A hot journal: SQLite opens and closes it in BEGIN, which drops this process's locks on it."""
    die_in_commit(queue)
    with queue.store.write() as tx:
        assert journal_is_locked(queue)
        insert(tx, "one")
        assert journal_is_locked(queue)


def die_in_commit(queue: Queue) -> None:
    """Let a process be killed between two writes of its COMMIT, so that the journal is hot."""
    from tests.store.test_killed import die_between_two_writes

    die_between_two_writes(queue)


def test_lock_timeout_names_the_holder(queue: Queue, this_node: str) -> None:
    with child(HOLDER, queue.path) as holder:
        holder.expect("holding")
        with pytest.raises(LockTimeout) as caught, queue.store.read(timeout=0.3):
            pass
        assert f"held by pid {holder.pid} of uid" in str(caught.value)
        assert f"on {this_node}" in str(caught.value)
        assert "within 0.3 s" in str(caught.value)
        assert "\n" not in str(caught.value)
        holder.tell()
        holder.expect("committed")
    assert commands(queue) == ["inside"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_until_the_transaction_is_over(queue: Queue, signum: signal.Signals) -> None:
    with child(HOLDER, queue.path) as holder:
        holder.expect("holding")
        holder.send(signum)
        wait_until(lambda: is_pending(holder.pid, signum))
        holder.tell()
        assert holder.end() != 0
        assert holder.line() == ""  # it came before "committed" was said, at the end of the block
    assert commands(queue) == ["inside"]


def test_a_terminal_stop_waits_until_the_transaction_is_over(queue: Queue) -> None:
    # A process group that no shell controls is orphaned, and the kernel ignores SIGTSTP there: so look
    # at the mask, and not at whether it stops.
    with child("hear()" + HOLDER, queue.path) as holder:
        assert not is_blocked(holder.pid, signal.SIGTSTP)
        holder.tell()
        holder.expect("holding")
        assert is_blocked(holder.pid, signal.SIGTSTP)
        holder.tell()
        holder.expect("committed")


def mask(pid: int, name: str) -> int:
    """A signal mask out of /proc/<pid>/status, proc(5)."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1], 16)
    raise AssertionError(name)


def is_pending(pid: int, signum: signal.Signals) -> bool:
    """Whether the process has the signal still before it."""
    return bool((mask(pid, "ShdPnd") | mask(pid, "SigPnd")) >> (signum - 1) & 1)


def is_blocked(pid: int, signum: signal.Signals) -> bool:
    """Whether the process lets the signal wait."""
    return bool(mask(pid, "SigBlk") >> (signum - 1) & 1)


def test_an_exception_rolls_back(queue: Queue) -> None:
    class OurError(Exception):
        pass

    with pytest.raises(OurError), queue.store.write() as tx:
        insert(tx, "never")
        raise OurError
    assert commands(queue) == []


def test_a_reader_that_stops_after_one_job_holds_nothing(queue: Queue) -> None:
    for command in ("one", "two"):
        queue.submit(command)
    jobs = queue.jobs()
    assert next(jobs).command == "one"
    with child(HOLDER, queue.path) as holder:
        holder.expect("holding")  # the lock was free
        holder.tell()
        holder.expect("committed")
    assert [job.command for job in jobs] == ["two"]  # as of then
    assert not Path(f"/proc/{holder.pid}").exists()
