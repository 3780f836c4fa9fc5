"""Every moment of tests/nfs/stops.py is still met, also where the process is forked from a warm one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nfs import stops, warm
from tests.oracle.scene import REPOSITORY, RQPY
from tests.waiting import wait_until


@pytest.fixture
def queue(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A queue with a job in it."""
    path = tmp_path / "q"
    for words in (("create",), ("submit", "true")):
        subprocess.run([*RQPY, path, *words], env=environment, check=True, capture_output=True)
    return path


@pytest.mark.parametrize("moment", stops.MOMENTS)
def test_a_process_dies_at_each_moment_and_the_queue_is_well(
    queue: Path, environment: dict[str, str], moment: str
) -> None:
    mark = queue.parent / "mark"
    mark.touch()
    words = ("submit", "true") if moment in stops.WRITING else ("recover", "--break")
    command = [sys.executable, stops.__file__, "kill", moment, str(mark), str(queue), *words]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    assert process.wait(60) == -signal.SIGKILL
    assert int(mark.read_text()) == process.pid
    done = subprocess.run([*RQPY, queue, "recover"], env=environment, check=True, capture_output=True)
    assert b"integrity: ok" in done.stdout


def test_a_moment_that_is_not_armed_does_not_happen(queue: Path, environment: dict[str, str]) -> None:
    mark = queue.parent / "mark"
    command = [sys.executable, stops.__file__, "kill", "commit", str(mark), str(queue), "submit", "true"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert not mark.exists()


def test_a_warm_process_submits_what_the_oracle_hears_of(queue: Path, environment: dict[str, str]) -> None:
    """The first submit dies at its moment, the second is acknowledged."""
    folder, log, mark = queue.parent / "warm", queue.parent / "submits", queue.parent / "mark"
    mark.touch()
    request = {
        "words": [str(queue)],
        "stop": ["kill", "header", str(mark)],
        "log": str(log),
        "stdin": "a\nb\n",
    }
    env = {**environment, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen([sys.executable, warm.__file__, folder], env=env)
    try:
        wait_until((folder / "ready").exists, 60)
        for number in (1, 2):
            (folder / "new").write_text(json.dumps(request))
            os.rename(folder / "new", folder / f"{number}.request")
            wait_until((folder / f"{number}.done").exists, 60)
            assert (folder / f"{number}.done").read_text() == "0\n"
    finally:
        process.kill()
        process.wait()
    assert [(folder / f"{number}.out").read_text() for number in (1, 2)] == ["unknown\n", "acknowledged\n"]
    outcomes = [json.loads(line)["outcome"] for line in log.read_text().split("\n") if line]
    assert outcomes == ["trying", "unknown", "trying", "acknowledged"]
