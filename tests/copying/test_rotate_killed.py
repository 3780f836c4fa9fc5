"""Rotate is killed at each of its steps, and at any moment: no job is lost, and a rerun completes it."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from rq_py import JobSpec, Queue
from rq_py.errors import NotAQueue, QueueExists
from rq_py.queuedir import QueueDir
from rq_py.rotation import rotate
from tests.copying.jobs import assert_files, end, files_of, jids, write_streams
from tests.store.children import child
from tests.store.database import integrity

_ROTATE = """
from pathlib import Path
from rq_py.rotation import rotate
queue = Queue(arguments[0])
def at_step(step):
    if step == arguments[2]:
        os.kill(os.getpid(), signal.SIGKILL)
say("begins")
rotate(queue.store, Path(arguments[1]), tgz=arguments[3] == "tgz", at_step=at_step)
say("done")
"""

STEPS = ["rows", "files", "complete", "published", "deleted", "amended", "removed", "done"]
PACKING = ["packed", "unpacked"]
ENDED = [1, 2, 3, 4, 5]


def test_every_step_is_one_that_rotate_takes(used: Queue, tmp_path: Path) -> None:
    steps: list[str] = []
    rotate(used.store, tmp_path / "r", tgz=True, at_step=steps.append)
    assert steps == [*STEPS, *PACKING]


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_no_job_is_lost_and_a_rerun_completes_it(
    used: Queue, tmp_path: Path, step: str
) -> None:
    place = tmp_path / "r"
    with child(_ROTATE, used.path, place, step, "") as killed:
        killed.expect("begins")
        assert killed.end() == -signal.SIGKILL
    there = Queue(used.path)
    in_queue = jids(there)
    in_rotation: list[int] = []
    with suppress(NotAQueue):
        rotation = Queue(place)
        in_rotation = jids(rotation)
        for jid in in_rotation:
            assert_files(rotation.dir, jid)
    for jid in ENDED:
        assert jid in in_queue or jid in in_rotation
        if jid in in_queue:
            assert_files(there.dir, jid)
    is_published = STEPS.index(step) >= STEPS.index("published")
    assert in_rotation == (ENDED if is_published else [])
    assert in_queue == ([6, 7] if STEPS.index(step) >= STEPS.index("deleted") else [*ENDED, 6, 7])

    if step == "done":
        with pytest.raises(QueueExists):
            there.rotate(place)
    else:
        assert there.rotate(place).jobs == 5
    assert jids(there) == [6, 7]
    assert jids(Queue(place)) == ENDED
    for jid in ENDED:
        assert_files(QueueDir(place), jid)
        assert files_of(there.dir, jid) == []
    assert integrity(place / "db") == integrity(there.path / "db") == "ok"
    assert not (place / "moving").exists()


@pytest.mark.parametrize("step", [*STEPS, *PACKING])
def test_killed_while_it_is_to_be_packed(used: Queue, tmp_path: Path, step: str) -> None:
    place = tmp_path / "r"
    with child(_ROTATE, used.path, place, step, "tgz") as killed:
        assert killed.end() == -signal.SIGKILL
    there = Queue(used.path)
    if step in PACKING:
        assert (tmp_path / "r.tgz").exists()
        with pytest.raises(QueueExists):
            there.rotate(place, tgz=True)
    else:
        assert there.rotate(place, tgz=True).jobs == 5
        assert not place.exists()
    assert (tmp_path / "r.tgz").exists()
    assert jids(there) == [6, 7]


def test_what_was_resubmitted_between_kill_and_rerun_is_the_queues(used: Queue, tmp_path: Path) -> None:
    with child(_ROTATE, used.path, tmp_path / "r", "published", "") as killed:
        assert killed.end() == -signal.SIGKILL
    with used.store.write() as tx:
        tx.execute("UPDATE jobs SET state = 'pending', token = '' WHERE jid = 2")
    assert Queue(used.path).rotate(tmp_path / "r").jobs == 4
    assert jids(Queue(tmp_path / "r")) == [1, 3, 4, 5]
    assert jids(used) == [2, 6, 7]
    assert_files(used.dir, 2)


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment(queue: Queue, tmp_path: Path, seed: int) -> None:
    queue.submit_many(JobSpec("true") for _ in range(1000))
    end(queue, range(1, 1001))
    write_streams(queue, range(1, 1001))
    pause = random.Random(seed).uniform(0.0, 0.25)
    for _ in range(8):
        with child(_ROTATE, queue.path, tmp_path / "r", "", "") as killed:
            killed.expect("begins")
            time.sleep(pause)  # not for luck: whatever the moment, nothing may be lost
            killed.kill()
            there = Queue(queue.path)
            found = set(jids(there))
            for jid in found:
                assert there.stream(jid, "stdout").read_text() == f"stdout of {jid}\n"
            with suppress(NotAQueue):
                for job in Queue(tmp_path / "r").jobs():
                    found.add(job.jid)
                    text = (tmp_path / "r" / "stdout" / str(job.jid)).read_text()
                    assert text == f"stdout of {job.jid}\n"
            assert found == set(range(1, 1001))
        pause += 0.03
    with suppress(QueueExists):
        Queue(queue.path).rotate(tmp_path / "r")
    assert jids(Queue(tmp_path / "r")) == list(range(1, 1001))
    assert jids(Queue(queue.path)) == []
    assert list((queue.path / "stdout").iterdir()) == []
