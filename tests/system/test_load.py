"""Two submitters and three nodes on one queue: every job once, in order, and nothing left behind."""

from __future__ import annotations

import sqlite3
import subprocess
from collections import Counter
from pathlib import Path

from rq_py import Queue, State
from rq_py.clock import utc_text
from tests.conftest import Rqpy, command_line
from tests.waiting import wait_until

JOBS = 2000
NODES = 3


def test_two_submitters_three_feeders_2000_jobs(rqpy: Rqpy, queue_path: Path, tmp_path: Path) -> None:
    rqpy("create", "shell=sh", "login=never", queue=queue_path, check=True)
    diary = tmp_path / "diary"
    diary.mkdir()
    # Each job writes its own attempt: what the queue says is compared with what really ran.
    lines = "".join(f"echo $RQ_JID >> {diary}/$RQ_JID.{{}} # {i}\n" for i in range(JOBS // 4))
    environment = rqpy.environment
    first = rqpy("submit", "-q", "-p", "5", queue=queue_path, stdin=lines.replace("{}", "a"), check=True)
    assert first.stdout == ""
    feeders = [
        subprocess.Popen(
            command_line(queue_path, "feed", "--max-feed", "2", "-v", "warn"),
            env=environment | {"RQ_NODE": f"{environment['RQ_NODE']}-{number}"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for number in range(NODES)
    ]
    try:
        submitters = [
            subprocess.Popen(
                command_line(queue_path, "submit", "-q", "-"),
                env=environment,
                stdin=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for submitter in submitters:
            submitter.communicate(lines.replace("{}", "b"), timeout=60)
            assert submitter.returncode == 0
        rqpy("submit", "-q", "-p", "9", queue=queue_path, stdin=lines.replace("{}", "c"), check=True)
        nines_acknowledged = utc_text()
        queue = Queue(queue_path)
        _wait_until_done(queue)
    finally:
        for feeder in feeders:
            feeder.terminate()
        ends = [feeder.communicate(timeout=60) for feeder in feeders]
    assert [feeder.returncode for feeder in feeders] == [0] * NODES, ends

    jobs = list(queue.jobs())
    assert len(jobs) == JOBS
    assert {job.state for job in jobs} == {State.FINISHED}
    assert {job.exit_status for job in jobs} == {0}
    assert {job.attempt for job in jobs} == {1}
    ran = Counter(path.read_text() for path in diary.iterdir())
    assert ran == {f"{job.jid}\n": 1 for job in jobs}, "a job ran twice, or not at all"
    assert len({job.runner for job in jobs}) == NODES, "a node got nothing"
    _assert_order_kept(queue_path, nines_acknowledged)
    leftovers = [path for path in queue_path.rglob("*") if path.name.startswith((".", "db.tmp"))]
    assert leftovers == []


def _wait_until_done(queue: Queue) -> None:
    def is_done() -> bool:
        counts = queue.status()["jobs"]
        assert isinstance(counts, dict)
        return bool(counts["finished"] == JOBS)

    wait_until(is_done, deadline=110, interval=0.5)


def _assert_order_kept(queue_path: Path, nines_acknowledged: str) -> None:
    """Highest priority first, and the oldest first within one, over all nodes.

    ``started`` is taken under the queue lock, so the claims of all nodes are in its order.
    """
    database = sqlite3.connect(queue_path / "db", isolation_level=None)
    try:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = database.execute("SELECT priority, started FROM jobs ORDER BY jid").fetchall()
    finally:
        database.close()
    starts = {wanted: [start for priority, start in rows if priority == wanted] for wanted in (9, 5, 0)}
    assert [len(starts[priority]) for priority in (9, 5, 0)] == [JOBS // 4, JOBS // 4, JOBS // 2]
    for priority, times in starts.items():
        assert times == sorted(times), f"a younger job of priority {priority} started before an older one"
    # In the very claim that took the last of them the slots that were left went to lower ones.
    last_nine, last_five = starts[9][-1], starts[5][-1]
    assert not [time for time in starts[5] + starts[0] if nines_acknowledged < time < last_nine]
    assert not [time for time in starts[0] if time < last_five]
