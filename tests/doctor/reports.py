"""Reading the report of a doctor."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml


def report_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The report that a doctor printed."""
    report = yaml.safe_load(done.stdout)
    assert isinstance(report, dict), done.stdout + done.stderr
    return report


def verdicts_of(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The verdict of each check; where a check has several findings, the last one's."""
    return {finding["check"]: finding["verdict"] for finding in report_of(done)["findings"]}


def finding_of(done: subprocess.CompletedProcess[str], check: str) -> dict[str, str]:
    """The finding of a check, of which there is one."""
    (found,) = [finding for finding in report_of(done)["findings"] if finding["check"] == check]
    assert isinstance(found, dict)
    return found


def scratches(directory: Path) -> list[str]:
    """What doctors have in a directory."""
    return sorted(path.name for path in directory.glob(".rqpy-doctor*"))


def tree(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a directory: modes, and the contents of files."""
    return {
        str(path.relative_to(directory)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(directory.rglob("*"))
    }
