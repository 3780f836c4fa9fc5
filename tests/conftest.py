"""Fixtures that every folder shares: a node of one's own, a path for a queue, and ``rqpy`` to call.

Each test is its own node: ``RQ_NODE`` is unique, so that no two tests (and no feeder of the person who
runs them) meet in ``/var/tmp/rqpy-<uid>/<node>-<uuid>/``. After the test, whatever process of that node
is left is killed, found by ``RQ_NODE`` in its environment, and the node's local state is removed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from rq_py.queuedir import LOCAL_ROOT

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test with the mark ``root`` needs two users: without root it is skipped, and says so."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root: it acts as two different users"))


@pytest.fixture
def node() -> Iterator[str]:
    """A node name of this test alone; its processes and local state are gone after the test."""
    with node_of_ones_own("t") as name:
        yield name


@contextmanager
def node_of_ones_own(prefix: str) -> Iterator[str]:
    """A node name that begins with ``prefix``; everything of that node is ended and removed afterwards."""
    name = f"{prefix}-{uuid.uuid4().hex[:10]}"
    try:
        yield name
    finally:
        for pid in pids_of_node(name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for local in LOCAL_ROOT.glob(f"rqpy-*/{name}*"):
            shutil.rmtree(local, ignore_errors=True)


def pids_of_node(name: str) -> list[int]:
    """The processes that were started with ``RQ_NODE=<name>``, or a name that begins with it: proc(5)."""
    wanted = b"RQ_NODE=" + name.encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if any(entry.startswith(wanted) for entry in environ.read_bytes().split(b"\0")):
                found.append(int(environ.parent.name))
    return found


@pytest.fixture
def environment(node: str, tmp_path: Path) -> dict[str, str]:
    """The whole environment of what a test starts: nothing of the person who runs the tests but PATH."""
    home = tmp_path / "home"
    home.mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "RQ_NODE": node}


@pytest.fixture
def queue_path(tmp_path: Path) -> Path:
    """Where a test may create its queue; nothing is there yet."""
    return tmp_path / "q"


class Rqpy:
    """Runs ``rqpy`` as its own process: ``rqpy("list", "pending", queue=path)``."""

    def __init__(self, environment: Mapping[str, str], cwd: Path) -> None:
        self.environment = dict(environment)
        self.cwd = cwd

    def __call__(
        self,
        *arguments: str | Path,
        queue: Path | None = None,
        stdin: str | bytes = b"",
        env: Mapping[str, str] | None = None,
        check: bool = False,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end and return exit status, stdout and stderr; with ``check`` a failure raises.

        Its stdin is ``stdin``, never the terminal. ``queue`` becomes the first argument, ``env`` is
        added to the environment.
        """
        done = subprocess.run(
            command_line(*([queue] if queue else []), *arguments),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            env={**self.environment, **(env or {})},
            cwd=self.cwd,
            timeout=timeout,
            check=False,
        )
        result = subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )
        if check and result.returncode:
            raise AssertionError(f"{result.args} exited with {result.returncode}: {result.stderr}")
        return result


def command_line(*arguments: str | Path) -> Sequence[str]:
    """The argv of ``rqpy`` with the Python that runs the tests."""
    return [sys.executable, "-m", "rq_py", *map(str, arguments)]


@pytest.fixture
def rqpy(environment: dict[str, str], tmp_path: Path) -> Rqpy:
    """``rqpy`` in a clean environment, as this test's node, started in ``tmp_path``."""
    return Rqpy(environment, tmp_path)
