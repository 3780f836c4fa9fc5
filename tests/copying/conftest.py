"""A queue with jobs that have ended, and feeders on it where a test wants them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rq_py import Queue
from tests.api.conftest import open_path
from tests.copying.jobs import end, write_streams
from tests.feeder.conftest import Feed, feed
from tests.ownnode import this_node

__all__ = ["Feed", "feed", "open_path", "this_node"]


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    """A new queue; a holder counts as stuck after one second."""
    return Queue.create(queue_path, settings={"lock_lease": "1", "login": "never", "shell": "sh"})


@pytest.fixture
def used(queue: Queue, tmp_path: Path) -> Queue:
    """The queue with jobs 1 to 4 finished, 5 dead, 6 pending, 7 holding; 1 and 2 have data, all stdin."""
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "file").write_text("deep data\n")
    (data / "link").symlink_to("deep/file")
    for number in range(1, 8):
        queue.submit(
            f"echo {number}",
            stdin=f"input {number}\n".encode(),
            data=[None, data, data / "deep" / "file"][number] if number < 3 else None,
            stage=number == 7,
            tag=f"tag {number}",
        )
    end(queue, [1, 2, 3, 4])
    end(queue, [5], state="dead", reason="node_lost")
    write_streams(queue, [1, 2, 3, 4, 5])
    return queue
