"""A node of its own for each test."""

from __future__ import annotations

from tests.ownnode import this_node

__all__ = ["this_node"]
