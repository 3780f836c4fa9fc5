"""A queue with jobs in every state, and the bytes of its files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue
from tests.ownnode import this_node

__all__ = ["this_node"]

#: What the tests' jobs are made into: jid and assignments.
ROWS = {
    1: "state = 'finished', started = '2004-06-29 22:51:05.000000Z', exit_status = 0, runner = 'node_1.here'",
    2: "state = 'finished', started = '2004-06-29 22:51:09.500000Z', exit_status = 3, runner = 'node_2'",
    3: "state = 'dead', started = '2004-06-29 22:51:10.000000Z', reason = 'node_lost', runner = 'node_1'",
}


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    """Jobs 1 to 3 have ended, 4 and 5 are pending, 6 is held."""
    queue = Queue.create(queue_path)
    queue.submit_many(
        [
            JobSpec("a_bombing_job 1", tag="important", priority=6, restartable=True),
            JobSpec("two", tag="important"),
            JobSpec("foobar 3", priority=6),
            JobSpec("run foobar", tag="disk_filler", priority=-1),
            JobSpec("cat", tag="it's", restartable=True, env={"A": "1"}),
            JobSpec("later", stage=True, required_runner="node_9"),
        ],
        stdin=b"in",
    )
    for jid, sets in ROWS.items():
        queue.execute(f"UPDATE jobs SET attempt = 1, {sets} WHERE jid = {jid}")  # noqa: S608
    return queue


def bytes_of(queue: Queue) -> dict[str, str]:
    """Every file of the queue with a checksum of its content, but the lock, which names its last holder."""
    return {
        str(path.relative_to(queue.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(queue.path.rglob("*"))
        if path.is_file() and path.name != "lock"
    }
