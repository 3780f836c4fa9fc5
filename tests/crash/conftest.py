"""The feeders and gates of tests/feeder, here as well."""

from __future__ import annotations

from tests.feeder.conftest import feed, gate

__all__ = ["feed", "gate"]
