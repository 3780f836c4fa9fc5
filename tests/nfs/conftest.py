"""The mark ``nfs_lab``, and a loud word when the lab could not run."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Tests with this mark boot virtual machines, which takes minutes."""
    config.addinivalue_line("markers", "nfs_lab: boots an NFS server and clients in QEMU; minutes, as root")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A skipped lab is said in a way that nobody overlooks: NFS was not tested then."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "nfs_lab" in report.keywords]
    if skipped:
        terminalreporter.section("NFS LAB SKIPPED", sep="!", red=True, bold=True)
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr[2]}")
        terminalreporter.line(f"NOTHING WAS TESTED ON NFS: {len(skipped)} test(s) skipped")
