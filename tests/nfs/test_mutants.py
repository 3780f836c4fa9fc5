"""What the journal and its lock protect against is seen on NFS only: without them a scenario goes red.

The scenarios hold these mutants as their negative controls, and fail where the lab does not see them break;
the other protections are taken away in tests/oracle/test_mutants.py, on any file system.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.nfs.lab.image import LabUnavailable
from tests.nfs.lab.running import alone, run

pytestmark = [
    pytest.mark.nfs_lab,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(
        os.environ.get("RQPY_TESTS") != "deep", reason="the mutants on NFS: only with RQPY_TESTS=deep"
    ),
]


@pytest.mark.parametrize(
    ("scenario", "version", "parts"),
    [
        ("cut_link", "4.2", {"commits": 0, "rollback": 0}),  # no-journal-lock
        ("journal_modes", "4.2", {"tries": 0}),  # journal-delete, journal-truncate
        ("journal_modes", "3", {"tries": 0}),  # journal-delete
    ],
)
def test_a_missing_protection_is_seen(
    tmp_path: Path, scenario: str, version: str, parts: dict[str, int]
) -> None:
    try:
        with alone():
            [result] = run(scenario, [version], tmp_path, None, **parts)
    except LabUnavailable as unavailable:
        pytest.skip(f"NFS was NOT tested: {unavailable}")
    assert result["result"] == "passed", result
