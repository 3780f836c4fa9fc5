"""The short form of the NFS lab: it boots, faults are injected, and the oracle finds no violation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nfs.lab.image import LabUnavailable
from tests.nfs.lab.running import alone, run

# The time includes waiting for another lab on this machine; each step of a scenario has its own deadline.
pytestmark = [pytest.mark.nfs_lab, pytest.mark.timeout(5400)]


def test_load_kills_and_a_server_reboot_on_two_nodes(tmp_path: Path) -> None:
    try:
        with alone():
            [result] = run("short", ["4.2"], tmp_path)
    except LabUnavailable as unavailable:
        pytest.skip(f"NFS was NOT tested: {unavailable}")
    assert result["result"] == "passed", result
    assert result["faults"] == 4, result
