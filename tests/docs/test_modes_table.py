"""The examples in README's table of modes are true: each runs, on a queue with some jobs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.cli.modes import MODES
from tests.architecture.sources import REPOSITORY
from tests.conftest import node_of_ones_own
from tests.modes.test_cron import CRONTAB

ROW = re.compile(r"^\| `(\w+)` \|[^|]*\|[^|]*\| `((?:[^`|]|\\\|)+)` \|$", re.MULTILINE)
EXAMPLES = {
    name: example.replace("\\|", "|")
    for name, example in ROW.findall((REPOSITORY / "README.md").read_text(encoding="utf-8"))
}
#: Modes about a feeder that runs.
NEEDS_FEEDER = frozenset({"shutdown", "stop", "restart", "pid", "feeder"})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the queue ``q``: one job that went well, one that failed, one that waits."""
    folder = tmp_path_factory.mktemp("table")
    with node_of_ones_own("t") as node:
        queue = Queue.create(folder / "q")
        queue.submit("cat", stdin=b"input", cwd="/", tag="important")
        queue.submit("exit 3", cwd="/")
        subprocess.run(
            [sys.executable, "-m", "rq_py", queue.path, "feed", "--until-empty", "--verbosity", "fatal"],
            env={"PATH": os.environ["PATH"], "RQ_NODE": node},
            check=True,
            timeout=60,
        )
        queue.submit("make report", cwd="/", tag="important")
    return folder


def test_every_mode_has_an_example() -> None:
    assert set(EXAMPLES) == set(MODES)


@pytest.mark.parametrize("mode", MODES)
def test_the_example_of(mode: str, prepared: Path, environment: dict[str, str], tmp_path: Path) -> None:
    folder, programs = tmp_path / "demo", tmp_path / "programs"
    programs.mkdir()
    shutil.copytree(prepared, folder)
    if mode == "create":
        shutil.rmtree(folder / "q")
    table = shlex.quote(str(tmp_path / "crontab"))
    for name, text in (
        ("rqpy", f'#!/bin/sh\nexec "{sys.executable}" -P -m rq_py "$@"\n'),
        ("crontab", CRONTAB.format(table=table)),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    before = "rqpy q start --quiet && " if mode in NEEDS_FEEDER else ""
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {before}{EXAMPLES[mode]}"],
        cwd=folder,
        env={**environment, "PATH": f"{programs}:{environment['PATH']}", "RQ_EDITOR": "cat"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert mode == "feed" or done.stderr == ""
