"""Two doctors as two nodes on one directory: they find each other, and see each other's locks and writes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rq_py import Queue
from tests.conftest import Rqpy, command_line, node_of_ones_own
from tests.doctor.reports import finding_of, report_of, scratches, verdicts_of
from tests.waiting import wait_until

PEER_CHECKS = {"peer": "ok", "peer_locks": "ok", "peer_writes": "ok", "peer_clock": "ok"}


@contextmanager
def doctor(rqpy: Rqpy, path: Path, node: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A doctor that waits for a peer; it is gone afterwards."""
    process = subprocess.Popen(
        command_line(path, "doctor", "--peer", *arguments),
        env={**rqpy.environment, "RQ_NODE": node},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


#: What is done to a doctor to make its node, or what it shares with the others, a bad one.
FAULTS = {
    "locks": "from rq_py.doctor import peer; peer.attempt = lambda *_: 'granted'",
    "no_locks": "from rq_py.doctor import peer; peer.attempt = lambda *_: 'errno-37'",
    "ranges": "from rq_py.doctor import peer; peer._FREE = peer._TAKEN",
    "writes": "from rq_py.doctor import peer; peer._write_page = lambda _: '0123456789abcdef'",
    "clock": "from rq_py.doctor import message; import time; message.now = lambda: time.time() + 3600",
    "version": "import rq_py; rq_py.__version__ = '0.0.1'",
}


@contextmanager
def faulty_doctor(rqpy: Rqpy, path: Path, node: str, fault: str) -> Iterator[subprocess.Popen[str]]:
    """A doctor with one of the faults."""
    program = f"{FAULTS[fault]}\nfrom rq_py.cli.main import main\nmain()"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", program, path, "doctor", "--peer"],
        env={**rqpy.environment, "RQ_NODE": node},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for its end."""
    stdout, stderr = process.communicate(timeout=100)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@pytest.fixture
def other_node() -> Iterator[str]:
    """The name of a second node."""
    with node_of_ones_own("u") as name:
        yield name


@pytest.mark.parametrize("is_queue", [True, False])
def test_two_nodes_meet(rqpy: Rqpy, tmp_path: Path, node: str, other_node: str, *, is_queue: bool) -> None:
    path = tmp_path / "place"
    path.mkdir()
    if is_queue:
        Queue.create(path)
    before = sorted(path.rglob("*"))
    with doctor(rqpy, path, node) as one, doctor(rqpy, path, other_node) as two:
        for done, me, other in ((ended(one), node, other_node), (ended(two), other_node, node)):
            assert (done.returncode, done.stderr) == (0, "")
            assert verdicts_of(done).items() >= PEER_CHECKS.items()
            assert f"a lock of {me} keeps {other} out" in finding_of(done, "peer_locks")["what"]
            peer = report_of(done)["peer"]
            assert (peer["node"], peer["same_kernel"]) == (other, True)
            # One clock: whatever the load, the truth lies within what they say.
            assert abs(peer["clock_ahead"]) <= peer["clock_uncertainty"] + 1e-6
    assert sorted(path.rglob("*")) == before


@pytest.mark.parametrize(
    ("fault", "check", "verdict", "status", "said"),
    [
        ("locks", "peer_locks", "unsafe", 1, "locks exclude nobody across nodes"),
        ("no_locks", "peer_locks", "unsafe", 1, "No locks available"),
        ("ranges", "peer_locks", "unsafe", 1, "held others"),
        ("writes", "peer_writes", "unsafe", 1, "had overwritten before"),
        ("clock", "peer_clock", "advice", 0, "3600 s"),
        ("version", "peer", "advice", 0, "0.0.1"),
    ],
)
def test_a_bad_node_is_found_by_both(
    rqpy: Rqpy,
    tmp_path: Path,
    node: str,
    other_node: str,
    fault: str,
    check: str,
    verdict: str,
    status: int,
    said: str,
) -> None:
    with doctor(rqpy, tmp_path, node) as one, faulty_doctor(rqpy, tmp_path, other_node, fault) as two:
        for done in (ended(one), ended(two)):
            assert (done.returncode, done.stderr) == (status, "")
            found = finding_of(done, check)
            assert found["verdict"] == verdict
            assert said in found["what"]
    assert scratches(tmp_path) == []


def test_a_peer_that_never_comes(rqpy: Rqpy, tmp_path: Path) -> None:
    done = rqpy("doctor", "--peer", "--wait", "1", queue=tmp_path)
    assert done.returncode == 124
    assert finding_of(done, "peer")["verdict"] == "unknown"
    assert "no other node ran doctor --peer here within 1 s" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert scratches(tmp_path) == []


def test_a_second_doctor_of_the_same_node_is_no_peer(rqpy: Rqpy, tmp_path: Path, node: str) -> None:
    with doctor(rqpy, tmp_path, node, "--wait", "60") as one:
        wait_until(lambda: scratches(tmp_path)[1:], deadline=60)
        done = rqpy("doctor", "--peer", "--wait", "3", queue=tmp_path)
        assert done.returncode == 124
        assert f"one came, but its node is called {node}, too" in done.stderr
        one.terminate()
        assert ended(one).returncode == 143
    assert scratches(tmp_path) == []


def test_what_a_killed_doctor_showed_is_no_peer(
    rqpy: Rqpy, tmp_path: Path, node: str, other_node: str
) -> None:
    """It would be everybody's first choice, if it were alive, and keep the living ones apart."""
    with doctor(rqpy, tmp_path, f"{other_node}-3") as one:
        wait_until(lambda: [name for name in scratches(tmp_path) if name.endswith(".peer")], deadline=60)
        one.kill()
        ended(one)
    (left,) = tmp_path.glob(".rqpy-doctor.*.peer")
    token, first = left.name.split(".")[2], "0" * 16
    (left / "said").write_text((left / "said").read_text().replace(token, first))
    left.rename(tmp_path / f".rqpy-doctor.{first}.peer")
    assert rqpy("doctor", "--peer", "--wait", "2", queue=tmp_path).returncode == 124
    with doctor(rqpy, tmp_path, node) as one, doctor(rqpy, tmp_path, other_node) as two:
        assert [ended(process).returncode for process in (one, two)] == [0, 0]


def test_a_peer_that_dies_on_the_way(rqpy: Rqpy, tmp_path: Path, node: str, other_node: str) -> None:
    """What it showed is removed by hand, as it would be by its own end, so nobody waits out the minute."""
    with doctor(rqpy, tmp_path, node) as one:
        wait_until(lambda: [name for name in scratches(tmp_path) if name.endswith(".peer")], deadline=60)
        (mine,) = tmp_path.glob(".rqpy-doctor.*.peer")
        token = mine.name.split(".")[2]
        fake = tmp_path / ".rqpy-doctor.0000000000000000.peer"
        fake.mkdir()
        for name in ("lock", "page"):
            (fake / name).write_text("x")
        # It takes the other one's offer, and says no word.
        (fake / "said").write_text(
            f"protocol: 1\ntoken: 0000000000000000\nnode: {other_node}\nboot: b\nversion: v\n"
            f"partner: {token}\nturn: 0\nbeat: 1\nwall: 1.0\nwords:\n"
        )
        wait_until(lambda: "partner: 0000000000000000" in (mine / "said").read_text(), deadline=60)
        wait_until(lambda: "partner: 0000000000000000" in (mine / "said").read_text(), deadline=60)
        (fake / "said").unlink()
        done = ended(one)
    assert done.returncode == 124
    assert finding_of(done, "peer")["verdict"] == "unknown"
