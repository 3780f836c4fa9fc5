"""A feeder runs jobs while the queue is rotated, copied, recovered and locked, again and again."""

from __future__ import annotations

from pathlib import Path

from rq_py import JobSpec, Queue, State
from tests.conftest import Rqpy
from tests.copying.jobs import jids
from tests.feeder.conftest import Feed
from tests.store.database import integrity
from tests.waiting import wait_until

JOBS = 300


def test_no_job_is_lost_or_run_twice(queue: Queue, feed: Feed, rqpy: Rqpy, tmp_path: Path) -> None:
    log = tmp_path / "log"
    feeder = feed("--max-feed", "4")
    places: list[Path] = []

    def rotate() -> None:
        places.append(tmp_path / f"r{len(places)}")
        rqpy("rotate", str(places[-1]), queue=queue.path, check=True)

    for turn in range(6):
        queue.submit_many(JobSpec(f"echo $RQ_JID; echo $RQ_JID >> {log}") for _ in range(JOBS // 6))
        rotate()
        if turn % 2:
            rqpy("recover", *(["--break"] if turn == 3 else []), queue=queue.path, check=True)
        copy = queue.snapshot(tmp_path / "s")
        assert set(jids(copy)) <= set(range(1, JOBS + 1))
        rqpy("lock", "w", "--", "true", queue=queue.path, check=True)
        queue.backup(tmp_path / f"b{turn}")
    wait_until(lambda: {job.state for job in queue.jobs()} <= {State.FINISHED}, 60)
    if jids(queue):
        rotate()
    assert feeder.process.poll() is None

    found: list[int] = []
    for place in places:
        if place.exists():
            rotation = Queue(place)
            assert integrity(place / "db") == "ok"
            for job in rotation.jobs():
                found.append(job.jid)
                assert (job.state, job.exit_status, job.attempt) == (State.FINISHED, 0, 1)
                assert rotation.stream(job.jid, "stdout").read_text() == f"{job.jid}\n"
    assert sorted(found) == list(range(1, JOBS + 1))
    assert sorted(map(int, log.read_text().split())) == list(range(1, JOBS + 1))
    assert jids(queue) == []
    assert list((queue.path / "stdout").iterdir()) == []
    assert integrity(queue.path / "db") == "ok"
