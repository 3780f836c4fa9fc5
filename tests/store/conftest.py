"""A queue for each test, with a short lock lease, on a node of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from rq_py import Queue


@pytest.fixture(autouse=True)
def this_node(node: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """This process and its children are the test's own node."""
    monkeypatch.setenv("RQ_NODE", node)
    return node


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    """A new queue; a holder counts as stuck after one second."""
    return Queue.create(queue_path, settings={"lock_lease": "1"})
