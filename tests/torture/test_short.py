"""A short torture with a fixed seed: processes are killed and stopped at random, and no promise is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.oracle.scene import REPOSITORY


@pytest.mark.timeout(400)
def test_a_short_torture_breaks_nothing(tmp_path: Path) -> None:
    words = ["--minutes", "0.3", "--seed", "7", "--feeders", "2", "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    report = yaml.safe_load(done.stdout)
    assert report["violations"] == []
    assert done.returncode == 0, done.stderr
    assert report["jobs"] > 0
    assert report["starts"] > 0
    assert report["faults"]
    assert list(tmp_path.iterdir()) == []  # nothing is kept where nothing was found
