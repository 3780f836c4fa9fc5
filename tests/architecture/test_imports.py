"""Imports point downwards only: the contracts of import-linter in pyproject.toml, run as a test."""

from __future__ import annotations

import subprocess
import sys

from tests.architecture.sources import REPOSITORY


def test_the_contracts_of_import_linter_hold() -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
