"""``bin/rqpy``: it starts from anywhere, also through symlinks, and says what is missing where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rq_py
from tests.architecture.sources import REPOSITORY


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without ``.venv``, in a folder with a space."""
    root = tmp_path / "a checkout"
    (root / "bin").mkdir(parents=True)
    shutil.copy2(REPOSITORY / "bin" / "rqpy", root / "bin" / "rqpy")
    (root / "rq_py").symlink_to(REPOSITORY / "rq_py")
    return root


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for PATH, with the Python of these tests as ``python3.12`` and one that is too old."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, command in (
        ("python3.11", "exit 1"),
        ("python3.12", f'exec "{sys.executable}" "$@"'),
        ("readlink", 'exec /usr/bin/readlink "$@"'),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{command}\n")
        (folder / name).chmod(0o755)
    return folder


def version_by(program: str | Path, programs: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, "--version"],
        env={"PATH": str(programs)},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def assert_version(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stderr) == (0, "")
    assert rq_py.__version__ in done.stdout


def test_it_starts_from_its_checkout(checkout: Path, programs: Path) -> None:
    assert_version(version_by(checkout / "bin" / "rqpy", programs, Path("/")))
    assert_version(version_by("bin/rqpy", programs, checkout))
    assert_version(version_by("./rqpy", programs, checkout / "bin"))


def test_it_starts_through_symlinks(checkout: Path, programs: Path, tmp_path: Path) -> None:
    relative = tmp_path / "relative"
    relative.symlink_to(os.path.relpath(checkout / "bin" / "rqpy", tmp_path))
    absolute = tmp_path / "absolute"
    absolute.symlink_to(relative)
    assert_version(version_by(absolute, programs, Path("/")))
    assert_version(version_by("./relative", programs, tmp_path))


def test_it_takes_no_module_from_the_current_folder(checkout: Path, programs: Path, tmp_path: Path) -> None:
    for name in ("click", "yaml", "queue", "rq_py"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    assert_version(version_by(checkout / "bin" / "rqpy", programs, tmp_path))


def test_without_a_suitable_python_it_names_the_command_that_helps(checkout: Path, tmp_path: Path) -> None:
    done = version_by(checkout / "bin" / "rqpy", tmp_path, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert f"{checkout}/bin/setup" in done.stderr


def test_an_unfinished_environment_is_not_used(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
    assert version_by(checkout / "bin" / "rqpy", tmp_path, tmp_path).returncode == 1
