"""``bin/install PREFIX``: what it installs runs on its own, wherever it is moved, and can be replaced."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import rq_py
from tests.architecture.sources import REPOSITORY

pytestmark = pytest.mark.skipif(
    not (REPOSITORY / ".venv" / "stamp").exists(), reason="there is no .venv: bin/test makes it"
)


def install(prefix: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [REPOSITORY / "bin" / "install", prefix],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def run(program: Path, environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [program, *words],
        env={**environment, "PATH": "/usr/bin:/bin"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_an_installed_rqpy_runs_without_the_checkout(environment: dict[str, str], tmp_path: Path) -> None:
    prefix = tmp_path / "a prefix"
    done = install(prefix)
    assert done.returncode == 0, done.stderr
    assert f'export PATH="{prefix}/bin:$PATH"' in done.stdout
    first = os.readlink(prefix / "lib" / "rqpy")
    assert (prefix / "share/man/man1/rqpy.1").read_text().startswith('.\\"')

    moved = tmp_path / "mounted elsewhere"
    prefix.rename(moved)
    program = moved / "bin" / "rqpy"
    assert run(program, environment, "--version") == f"rqpy {rq_py.__version__}\n"
    queue = str(tmp_path / "q")
    run(program, environment, queue, "create")
    run(program, environment, queue, "submit", "-q", 'echo "$RQ"')
    run(program, environment, queue, "start", "--until-empty", "--quiet", "--log", str(tmp_path / "log"))
    assert run(program, environment, queue, "tail", "1") == f"{program}\n", "jobs call the same rqpy"

    assert install(moved).returncode == 0
    assert install(moved).returncode == 0
    copies = sorted(path.name for path in (moved / "lib").iterdir())
    assert len(copies) == 3, "the link, the copy in use, and the one before"
    assert first not in copies
    assert run(program, environment, "--version") == f"rqpy {rq_py.__version__}\n"


def test_without_a_prefix_it_says_how() -> None:
    for words in ([], ["--help"], ["a", "b"]):
        done = subprocess.run(
            [REPOSITORY / "bin" / "install", *words], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (2, "", "usage: bin/install PREFIX\n")
