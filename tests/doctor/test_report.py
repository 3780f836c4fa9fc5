"""The report: what is looked at, in which shape it is printed, and that nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import rq_py
from rq_py import Queue
from rq_py.doctor.examination import examine
from tests.conftest import Rqpy
from tests.doctor.reports import finding_of, report_of, scratches, tree, verdicts_of

TRIALS = {"locks", "byte_ranges", "lock_release", "fsync", "rename", "exclusive_creation", "modes"}
ALWAYS = TRIALS | {
    "filesystem",
    "server_clock",
    "space",
    "writers",
    "way",
    "sqlite",
    "open_files",
    "local_state",
}
OF_QUEUES = {"queue_modes", "generation", "database", "lock", "left_behind"}


def test_a_queue(rqpy: Rqpy, queue_path: Path) -> None:
    queue = Queue.create(queue_path)
    queue.submit("true")
    before = tree(queue_path)
    done = rqpy("doctor", queue=queue_path)
    assert (done.returncode, done.stderr) == (0, "")
    verdicts = verdicts_of(done)
    assert set(verdicts) >= ALWAYS | OF_QUEUES
    assert {verdicts[check] for check in TRIALS | OF_QUEUES} == {"ok"}
    report = report_of(done)
    assert report["path"] == str(queue_path)
    assert report["queue"]["uuid"] == queue.settings.uuid
    assert report["node"] == rqpy.environment["RQ_NODE"]
    assert report["versions"]["rqpy"] == rq_py.__version__
    assert report["fsync_ms"] > 0
    assert report["space"]["free_bytes"] > 0
    assert all(finding.get("do") for finding in report["findings"] if finding["verdict"] != "ok")
    assert tree(queue_path) == before


def test_a_directory_that_is_no_queue_yet(rqpy: Rqpy, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    done = rqpy("doctor", queue=place)
    assert (done.returncode, done.stderr) == (0, "")
    assert report_of(done)["queue"] is False
    assert set(verdicts_of(done)) >= ALWAYS
    assert not set(verdicts_of(done)) & OF_QUEUES
    assert list(place.iterdir()) == []
    rqpy("create", queue=place, check=True)


def test_json_says_the_same(rqpy: Rqpy, queue_path: Path) -> None:
    Queue.create(queue_path)
    as_yaml = yaml.safe_load(rqpy("doctor", queue=queue_path).stdout)
    as_json = json.loads(rqpy("doctor", "--output", "json", queue=queue_path).stdout)
    assert list(as_json) == list(as_yaml)
    assert [found["check"] for found in as_json["findings"]] == [
        found["check"] for found in as_yaml["findings"]
    ]


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_directory(rqpy: Rqpy, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    done = rqpy("doctor", queue=tmp_path / name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"rqpy: {tmp_path / name}: no such directory: name a queue, or the directory in which one shall be\n"
    )


def test_wait_without_peer_makes_no_sense(rqpy: Rqpy, tmp_path: Path) -> None:
    done = rqpy("doctor", "--wait", "3", queue=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


def test_settings_that_make_no_sense(rqpy: Rqpy, queue_path: Path) -> None:
    queue = Queue.create(queue_path)
    queue.dir.settings.write_text("format: 99\nuuid: x\n")
    done = rqpy("doctor", queue=queue_path)
    assert done.returncode == 1
    assert finding_of(done, "settings")["verdict"] == "unsafe"
    assert "upgrade rqpy here" in finding_of(done, "settings")["what"]


def test_from_python(queue_path: Path, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of one process may examine a queue and use it: no lock of a transaction is dropped."""
    monkeypatch.setenv("RQ_NODE", node)
    queue = Queue.create(queue_path)
    with queue.hold(writing=True):
        report = examine(queue_path.parent)
    assert not report.is_unsafe
    assert not examine(queue_path).is_unsafe
    assert scratches(queue_path) == []
