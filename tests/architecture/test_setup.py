"""``bin/setup``: what happens to an environment while it is updated, with a pip that only looks about."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import REPOSITORY

#: Any python here: as pip it tells which marks it sees, and ends as it is told to; it makes no environment.
PYTHON = """#!/bin/sh
case $* in
    *"-m pip "*)
        (cd '{root}/.venv' && ls -d stamp updating 2>/dev/null) >'{root}/seen'
        exec sh '{root}/pip' ;;
    *"-m venv "*) exit 1 ;;
    *) exec '{python}' "$@" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a plain environment, made for an older pyproject.toml."""
    root = tmp_path.resolve() / "checkout"
    (root / "bin").mkdir(parents=True)
    shutil.copy(REPOSITORY / "bin" / "setup", root / "bin" / "setup")
    (root / "pyproject.toml").write_text("[project]\n")
    (root / "pip").write_text("exit 0\n")
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / "programs").mkdir()
    for python in (root / ".venv" / "bin" / "python", root / "programs" / "python3.11"):
        python.write_text(PYTHON.format(root=root, python=sys.executable))
        python.chmod(0o755)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    (root / ".venv" / "stamp").write_text(f"plain 1 2\n{version} {root}\n")
    return root


def setup(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [root / "bin" / "setup", "dev"],
        env={"PATH": f"{root}/programs:/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def marks(root: Path) -> set[str]:
    return {name for name in ("stamp", "updating") if (root / ".venv" / name).exists()}


def test_the_old_environment_is_in_use_until_the_new_one_is_complete(checkout: Path) -> None:
    done = setup(checkout)
    assert (done.returncode, done.stderr) == (0, "bin/setup: updating .venv\n")
    assert (checkout / "seen").read_text().split() == ["stamp", "updating"]
    assert marks(checkout) == {"stamp"}
    assert (checkout / ".venv" / "stamp").read_text().startswith("dev ")
    assert setup(checkout).stderr == "", "it is up to date"


def test_an_update_that_fails_leaves_the_old_environment(checkout: Path) -> None:
    (checkout / "pip").write_text("exit 1\n")
    for _ in range(2):
        done = setup(checkout)
        assert done.returncode == 1
        assert "updating .venv" in done.stderr
        assert marks(checkout) == {"stamp"}
        assert (checkout / ".venv" / "stamp").read_text().startswith("plain ")


def test_an_interrupted_update_is_not_trusted(checkout: Path) -> None:
    (checkout / "pip").write_text("kill -KILL $PPID\n")
    setup(checkout)
    assert marks(checkout) == {"stamp", "updating"}
    assert "making .venv" in setup(checkout).stderr
    assert marks(checkout) == set()
