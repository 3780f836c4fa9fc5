"""``rqpy help``: complete, and its examples are true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import rq_py
from rq_py import Queue
from rq_py.cli.modes import MODES
from tests.conftest import Rqpy

#: The modes whose examples end by themselves, without a feeder.
WITHOUT_FEEDER = ["create", "submit", "list", "status", "stdin", "stdout", "stderr", "help"]


def test_the_overview_names_every_mode(rqpy: Rqpy) -> None:
    overview = rqpy("help", check=True).stdout
    for name, mode in MODES.items():
        assert re.search(
            rf"^  {' '.join((name, *mode.abbreviations))}  +{mode.summary}$", overview, re.MULTILINE
        )
    assert max(map(len, overview.splitlines())) <= 100
    assert rqpy("--help", check=True).stdout == overview
    assert rqpy("-h", check=True).stdout == overview


def test_without_a_mode_it_shows_the_overview_on_stderr(rqpy: Rqpy) -> None:
    done = rqpy()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == rqpy("help").stdout


def test_the_version(rqpy: Rqpy) -> None:
    assert rqpy("--version", check=True).stdout == f"rqpy {rq_py.__version__}\n"


def test_every_mode_is_explained(rqpy: Rqpy) -> None:
    for name in MODES:
        done = rqpy("help", name, check=True)
        assert done.stdout.startswith(f"Usage: rqpy [QUEUE] {name} [OPTIONS]"), name
    assert rqpy("q", "submit", "--help", check=True).stdout == rqpy("help", "s", check=True).stdout
    assert rqpy("help", "--help", check=True).stdout == rqpy("help", "help", check=True).stdout


def test_help_for_what_is_no_mode(rqpy: Rqpy) -> None:
    done = rqpy("help", "nothing")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rqpy: 'nothing': no such mode, see: rqpy help\n"


@pytest.mark.parametrize("mode", WITHOUT_FEEDER)
def test_the_examples_are_true(rqpy: Rqpy, environment: dict[str, str], tmp_path: Path, mode: str) -> None:
    queue = Queue.create(tmp_path / "q")
    queue.submit("cat", stdin=b"input")
    if mode in ("stdout", "stderr"):
        rqpy("feed", "--until-empty", queue=queue.path, check=True)
    examples = re.findall(r"^  +\$ (.*)$", rqpy("help", mode, check=True).stdout, re.MULTILINE)
    assert examples
    for example in examples:
        command = example.replace("/tmp/", f"{tmp_path}/new-")
        script = f'rqpy() {{ "{sys.executable}" -m rq_py "$@"; }}; {command}'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, b""), example
