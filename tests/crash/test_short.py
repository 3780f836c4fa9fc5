"""A sampled sweep: some of the points of the operations, and the same with a protection taken away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from rq_py.store import asides
from tests.crash.faults import KILL
from tests.crash.operations import operation_named
from tests.crash.sweep import Sweep
from tests.crash.tracer import is_possible
from tests.crash.world import World
from tests.oracle.scene import REPOSITORY

pytestmark = pytest.mark.skipif(not is_possible(), reason="this machine lets nobody trace, or is no x86_64")


_TOUCHING_MUCH = ("submit", "update stdin= data=")


@pytest.mark.parametrize(
    ("operations", "options", "least"),
    [
        ((*_TOUCHING_MUCH, "delete", "recover --break"), "--fault kill --every 23 --first 9", 15),
        (_TOUCHING_MUCH, "--fault EIO --fault ENOSPC --fault short --every 43 --first 11", 15),
        (("feed: feeder", "feed: runner"), "--fault kill --every 97 --first 60", 4),
    ],
)
@pytest.mark.timeout(400)
def test_a_sampled_sweep_finds_nothing(
    tmp_path: Path, operations: Sequence[str], options: str, least: int
) -> None:
    words = [*(f"--operation={name}" for name in operations), *options.split()]
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--folder", str(tmp_path), *words],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(yaml.safe_load(done.stdout)["total"]["tried"].values()) >= least
    assert list(tmp_path.iterdir()) == []


def test_the_sweep_finds_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what puts back the files of an edit that was killed, a job loses its data."""
    monkeypatch.setattr(asides, "put_back", lambda _connection, _directory: None)
    world = World(tmp_path, f"crash-short-{os.getpid()}")
    try:
        sweep = Sweep(world, operation_named("update stdin= data="))
        points = sweep.points(KILL)
        for n in range(points * 3 // 4, points * 3 // 4 + 3):
            assert sweep.at(KILL, n)
    finally:
        world.end()
    assert sweep.found.tried == {"kill": 3}
    assert sweep.found.outcomes == {"neither": 3}
    assert len(sweep.found.violations) == 3
