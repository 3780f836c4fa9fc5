"""A queue for each test, with a short lock lease, on a node of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from rq_py import Queue
from tests.ownnode import this_node

__all__ = ["this_node"]


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    """A new queue; a holder counts as stuck after one second."""
    return Queue.create(queue_path, settings={"lock_lease": "1"})
