"""``bin/quickstart`` runs, is right, and leaves nothing behind, also after Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from rq_py.queuedir import LOCAL_ROOT
from tests.architecture.sources import REPOSITORY
from tests.conftest import pids_of_node
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(
    not (REPOSITORY / ".venv" / "stamp").exists(), reason="there is no .venv: bin/test makes it"
)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The folder in which the script makes its own."""
    folder = tmp_path / "temporary files"
    folder.mkdir()
    return folder


def start(environment: Mapping[str, str], temporary: Path) -> subprocess.Popen[str]:
    """Start the script as a terminal would: as the leader of its own process group."""
    return subprocess.Popen(
        [REPOSITORY / "bin" / "quickstart"],
        env={**environment, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def assert_nothing_is_left(node: str, temporary: Path) -> None:
    assert list(temporary.iterdir()) == []
    assert list(LOCAL_ROOT.glob(f"rqpy-{os.getuid()}/{node}*")) == []
    wait_until(lambda: not pids_of_node(node))


def test_the_quickstart_is_right(environment: dict[str, str], node: str, temporary: Path) -> None:
    with start(environment, temporary) as script:
        printed, _ = script.communicate(timeout=60)
    assert script.returncode == 0, printed
    assert "All right: 40 jobs" in printed
    assert_nothing_is_left(node, temporary)


def test_ctrl_c_cleans_up(environment: dict[str, str], node: str, temporary: Path) -> None:
    with start(environment, temporary) as script:
        assert script.stdout
        for line in script.stdout:
            if line.startswith("$ rqpy feed"):
                break
        wait_until(lambda: list(LOCAL_ROOT.glob(f"rqpy-{os.getuid()}/{node}*/feeder.json")))
        os.killpg(script.pid, signal.SIGINT)
        rest = script.stdout.read()
    assert script.returncode == 130, rest
    assert "Traceback" not in rest
    assert_nothing_is_left(node, temporary)
