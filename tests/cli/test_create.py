"""``rqpy create``."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from rq_py import Queue
from tests.conftest import Rqpy


def test_it_prints_what_it_made(rqpy: Rqpy, queue_path: Path) -> None:
    done = rqpy("create", "shell=sh", "lock_lease=30", queue=queue_path)
    queue = Queue(queue_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"---\nq: {queue_path}\n")
    assert yaml.safe_load(done.stdout) == {
        "q": str(queue_path),
        "db": f"{queue_path}/db",
        "uuid": queue.settings.uuid,
    }
    assert (queue.settings.shell, queue.settings.lock_lease) == ("sh", 30.0)
    assert stat.S_IMODE(queue_path.stat().st_mode) == 0o700


def test_a_public_queue(rqpy: Rqpy, queue_path: Path) -> None:
    done = rqpy("create", "--public", queue=queue_path, check=True)
    assert yaml.safe_load(done.stdout)["access"] == "public"
    assert stat.S_IMODE(queue_path.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "q2"], "q2: is no KEY=VALUE; the queue comes first: rqpy q2 create"),
        (["create"], "no queue is named: say rqpy QUEUE create"),
        (["q", "create", "colour=red"], "colour: no such setting"),
        (["q", "create", "lock_lease=soon"], "lock_lease: 'soon' is not a number"),
        (["q", "create", "--group", "no-such-group"], "no-such-group: no such group"),
        (["q", "create", "--queue", "p"], "two queues are named: q and, by --queue, p"),
        (["create", "--queue", ""], "--queue: the path is empty"),
    ],
)
def test_what_makes_no_sense_makes_nothing(
    rqpy: Rqpy, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = rqpy(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_what_is_there_stays(rqpy: Rqpy, queue_path: Path) -> None:
    rqpy("create", queue=queue_path, check=True)
    again = rqpy("create", queue=queue_path)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == f"rqpy: {queue_path}: is a queue already\n"
