"""A feeder rides out a full disk and a server that is gone: it keeps its jobs, says so once, goes on."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rq_py import Queue, State
from tests.conftest import command_line
from tests.crash.calls import Call
from tests.crash.feeding import FEED, with_jobs
from tests.crash.tracer import GO, Deed, Fail, is_possible
from tests.crash.world import World
from tests.feeder.conftest import Feed, Gate, becomes
from tests.oracle import audit
from tests.oracle.checker import check
from tests.oracle.evidence import collect
from tests.waiting import wait_until

#: Seconds for which the server is gone.
_GONE = 10.0


@pytest.fixture
def queue(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """A queue on a small disk of its own."""
    monkeypatch.setenv("RQ_NODE", environment["RQ_NODE"])
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "rqpy-test", str(disk)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let us mount a disk")
    try:
        yield Queue.create(disk / "q", settings={"login": "never"})
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(disk: Path) -> Path:
    """Fill the disk; returns the file that does it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        while True:
            file.write(bytes(4096))
    return ballast


@pytest.mark.root
def test_a_feeder_rides_out_a_full_disk(queue: Queue, feed: Feed, gate: Gate) -> None:
    queue.submit(f"{gate.command}; exit 3")
    queue.submit("exit 4")
    feeder = feed("--max-feed", "1")
    becomes(queue, 1, State.RUNNING)
    # As a sqlite3 shell leaves it: to write it again needs space, which there is none of now.
    generation = queue.store.generations.current()
    os.truncate(generation.journal, 0)
    ballast = _fill(queue.path.parent)
    gate.open(1)
    feeder.says("trying again")
    for _ in range(3):  # each try names its holder anew
        before = generation.lock.read_bytes()
        wait_until(lambda seen=before: generation.lock.read_bytes() != seen)  # type: ignore[misc]
    assert feeder.log.count("trying again") == 1, feeder.log
    assert queue.job(1).state is State.RUNNING
    ballast.unlink()
    assert becomes(queue, 1, State.FINISHED).exit_status == 3
    assert becomes(queue, 2, State.FINISHED).exit_status == 4
    feeder.says("the queue can be used again")
    assert "Traceback" not in feeder.log


@pytest.mark.root
def test_a_submit_to_a_full_disk_says_so_and_leaves_nothing(queue: Queue) -> None:
    ballast = _fill(queue.path.parent)
    words = ["submit", "--stdin", "/etc/passwd", "x" * 60_000]
    done = subprocess.run(command_line(queue.path, *words), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("rqpy: ")
    assert "full" in line or "No space left" in line
    assert list(queue.jobs()) == []
    ballast.unlink()
    assert subprocess.run(command_line(queue.path, *words), capture_output=True, check=False).returncode == 0
    assert [job.jid for job in queue.jobs()] == [1]
    assert [path.name for path in (queue.path / "stdin").iterdir()] == ["1"]


def test_a_feeder_rides_out_a_server_that_is_gone(tmp_path: Path) -> None:
    if not is_possible():
        pytest.skip("this machine does not let us trace processes, or is no x86_64")
    world = World(tmp_path, f"crash-{tmp_path.name}-{os.getpid()}")
    world.make(with_jobs)
    started = world.folder / "evidence" / f"jobs.{world.environment['RQ_NODE']}"
    until: list[float] = []

    def judge(call: Call) -> Deed:
        """From the first start of a job on, for a while, nothing in the queue can be reached."""
        if not until and started.exists():
            until.append(time.monotonic() + _GONE)
        left = until[0] - time.monotonic() if until else 0.0
        if left <= 0 or not call.path().startswith(str(world.queue)):
            return GO
        return Fail(errno.EIO if left > _GONE / 2 else errno.ESTALE)

    try:
        result = world.traced((str(world.queue), *FEED), judge)
        dump = audit.dump(world.queue)
    finally:
        world.end()
    assert result.status == 0, result.stderr
    assert time.monotonic() > until[0]
    assert result.stderr.count("trying again") == 1, result.stderr
    assert result.stderr.count("the queue can be used again") == 1, result.stderr
    assert "Traceback" not in result.stderr
    evidence = collect(dump, world.folder / "evidence")
    assert list(map(str, check(evidence))) == []
    assert {row.state for row in evidence.queue.rows.values()} == {"finished"}
