"""What the harness does with processes: measures them and ends what was left; and its command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.case import CannotRun
from bench.leftovers import end_users_of
from bench.metering import Meter
from tests.architecture.sources import REPOSITORY

SLEEP = "import time; print(flush=True); time.sleep(100)"


def test_the_meter_measures_whole_processes(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_text("a line\n")
    allocate = "import sys; kept = bytearray(60_000_000); sys.exit(sys.stdin.read() != 'a line\\n')"
    with Meter() as meter:
        small = meter.run([sys.executable, "-c", "pass"])
        large = meter.run([sys.executable, "-c", allocate], source=str(source))
        with pytest.raises(CannotRun, match="exit status 3"):
            meter.run([sys.executable, "-c", "import sys; sys.exit(3)"])
        with pytest.raises(CannotRun, match="exit status 127"):
            meter.run(["no-such-program-of-any-kind"])
        assert meter.run([sys.executable, "-c", "pass"]).end > large.end > small.end
    assert small.seconds > 0
    assert small.cpu > 0
    assert large.peak > small.peak + 50_000_000


def test_what_is_left_in_a_folder_is_ended_and_nothing_else(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "mine2"
    with_environment = {**os.environ, "SOME_FILE": f"{mine}/file"}
    commands: list[tuple[Sequence[str], dict[str, str]]] = [
        ([sys.executable, "-c", SLEEP], with_environment),
        ([sys.executable, "-c", SLEEP, f"--at={mine}/x"], dict(os.environ)),
        ([sys.executable, "-c", SLEEP, f"{other}/x"], dict(os.environ)),
    ]
    processes = [subprocess.Popen(argv, env=env, stdout=subprocess.PIPE) for argv, env in commands]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
        killed = {int(line.split()[0]) for line in end_users_of(f"{mine}/", "/another-name-")}
        assert killed == {processes[0].pid, processes[1].pid}
        assert [process.wait(30) for process in processes[:2]] == [-9, -9]
        assert processes[2].poll() is None
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    """The harness's command line."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_cases_are_listed() -> None:
    done = bench("--list")
    assert done.returncode == 0, done.stderr
    assert {"drain-sh", "submit", "claim", "nfs"} <= {line.split()[0] for line in done.stdout.splitlines()}


@pytest.mark.parametrize("words", [["no-such-case"], ["--peers", "nobody", "limits"]])
def test_who_is_not_known_is_refused(words: list[str]) -> None:
    done = bench(*words)
    assert done.returncode == 1
    assert done.stderr.startswith("bin/bench: no ")
