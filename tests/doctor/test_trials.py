"""Trying things out: full disks, missing permission, interruption, leftovers; a lock that excludes nobody."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.doctor import locks
from rq_py.doctor.finding import Verdict
from tests.conftest import Rqpy, command_line
from tests.doctor.reports import finding_of, scratches, tree, verdicts_of
from tests.waiting import wait_until

NEEDS_WRITING = {"locks", "fsync", "rename", "exclusive_creation", "modes", "server_clock"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB and 400 inodes."""
    path = tmp_path / "small"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=400,mode=755", "tmpfs", path],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"NOT TESTED: nothing can be mounted here: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.root
def test_little_space_and_memory_only(rqpy: Rqpy, small_disk: Path) -> None:
    done = rqpy("doctor", queue=small_disk)
    verdicts = verdicts_of(done)
    assert done.returncode == 0
    assert (verdicts["space"], verdicts["inodes"], verdicts["filesystem"]) == ("advice",) * 3


@pytest.mark.root
def test_a_full_disk(rqpy: Rqpy, small_disk: Path) -> None:
    queue = Queue.create(small_disk / "q")
    with pytest.raises(OSError, match="No space"), (small_disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    done = rqpy("doctor", queue=queue.path)
    assert done.returncode == 1
    assert verdicts_of(done)["space"] == "unsafe"
    assert verdicts_of(done)["fsync"] == "unknown"
    assert verdicts_of(done)["generation"] == "ok"
    assert scratches(queue.path) == []


@pytest.mark.root
def test_no_inode_left(rqpy: Rqpy, small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        for number in range(1000):
            (small_disk / str(number)).touch()
    done = rqpy("doctor", queue=small_disk)
    assert done.returncode == 1
    assert verdicts_of(done)["inodes"] == "unsafe"
    assert {verdicts_of(done)[check] for check in NEEDS_WRITING} == {"unknown"}


def test_without_permission_to_write(rqpy: Rqpy, queue_path: Path) -> None:
    """Root gives up what makes it stronger than the modes, and what it owns."""
    queue = Queue.create(queue_path, public=True)
    before = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("NOT TESTED: there is no setpriv")
        before = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
        for path in (queue.path, *queue.path.rglob("*")):
            os.chown(path, 12345, 12345, follow_symlinks=False)
    else:
        queue.path.chmod(0o555)
    content = tree(queue.path)
    done = subprocess.run(
        [*before, *command_line(queue.path, "doctor")],
        env=rqpy.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    verdicts = verdicts_of(done)
    assert {verdicts[check] for check in NEEDS_WRITING} == {"unknown"}
    assert "Permission denied" in finding_of(done, "fsync")["what"]
    assert (verdicts["generation"], verdicts["database"], verdicts["lock"]) == ("ok", "ok", "ok")
    assert tree(queue.path) == content


@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_doctor_removes_what_it_made(
    rqpy: Rqpy, tmp_path: Path, signum: signal.Signals, status: int
) -> None:
    with subprocess.Popen(
        command_line(tmp_path, "doctor", "--peer"),
        env=rqpy.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        wait_until(lambda: [name for name in scratches(tmp_path) if name.endswith(".peer")], deadline=60)
        process.send_signal(signum)
        process.communicate(timeout=60)
    assert process.returncode == status
    assert scratches(tmp_path) == []


def test_what_killed_doctors_left_goes_after_a_day(rqpy: Rqpy, tmp_path: Path) -> None:
    with subprocess.Popen(
        command_line(tmp_path, "doctor", "--peer"), env=rqpy.environment, stdin=subprocess.DEVNULL
    ) as process:
        wait_until(lambda: [name for name in scratches(tmp_path) if name.endswith(".peer")], deadline=60)
        process.kill()
    left = [name for name in scratches(tmp_path) if not name.endswith(".look")]
    assert len(left) == 2
    # Names that only look like a doctor's are nobody's to remove.
    (tmp_path / ".rqpy-doctor.mine").mkdir()
    rqpy("doctor", queue=tmp_path, check=True)
    assert set(scratches(tmp_path)) >= set(left), "they may still be in use"
    yesterday = time.time() - 86500
    for name in scratches(tmp_path):
        os.utime(tmp_path / name, (yesterday, yesterday))
    done = rqpy("doctor", queue=tmp_path, check=True)
    assert finding_of(done, "tidied")["verdict"] == "ok"
    assert scratches(tmp_path) == [".rqpy-doctor.mine"]


def test_locks_that_exclude_nobody_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process locks another file than this one: what nolock looks like from inside."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.touch()
    there.touch()
    begin = locks.Other.__init__
    monkeypatch.setattr(locks.Other, "__init__", lambda self, path: begin(self, there))
    findings = {found.check: found for found in locks.findings(here)}
    assert {found.verdict for found in findings.values()} >= {Verdict.UNSAFE}
    assert "locks exclude nobody here" in findings["locks"].what
    assert findings["byte_ranges"].verdict is Verdict.UNSAFE


def test_a_lock_that_somebody_else_holds_is_no_proof(tmp_path: Path) -> None:
    """What was not to be had at all is told from what was refused for the right reason."""
    path = tmp_path / "file"
    path.touch()
    with locks.Other(path) as stranger:
        assert stranger.attempt("exclusive") == "granted"
        (first, *_) = locks.findings(path)
    assert first.verdict is Verdict.UNSAFE
    assert "did not get a lock" in first.what
