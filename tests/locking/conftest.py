"""A node of its own for each test."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def this_node(node: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """This process and its children are the test's own node."""
    monkeypatch.setenv("RQ_NODE", node)
    return node
