"""A queue for each test on a node of its own, and what needs a second user or a small disk."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rq_py import Queue
from tests.ownnode import this_node

__all__ = ["this_node"]


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    """A new private queue."""
    return Queue.create(queue_path)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that other users can reach, which they cannot with pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="rqpy-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB of its own; needs root and the right to mount."""
    point = tmp_path / "small"
    point.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "rqpy-test", str(point)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("NOT TESTED: a full disk, because there is no mount(8) here")
    if done.returncode != 0:
        pytest.skip(f"NOT TESTED: a full disk, because a tmpfs cannot be mounted: {done.stderr.strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)
