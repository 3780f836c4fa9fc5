"""The manual page is up to date, and troff has nothing to say against it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from rq_py.cli.modes import MODES
from tests.docs.manpage import PATH, page


def test_the_manual_page_is_up_to_date() -> None:
    assert PATH.read_text(encoding="utf-8") == page(), "run bin/docs"


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff")
def test_troff_reads_it_without_a_warning() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", PATH], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    for mode in MODES:
        assert f" {mode}" in done.stdout
