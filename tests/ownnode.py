"""For the conftest.py of folders whose tests use the API in this process: it is the test's own node, too."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def this_node(node: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """This process and its children are the test's own node."""
    monkeypatch.setenv("RQ_NODE", node)
    return node
