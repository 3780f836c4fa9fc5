"""The status of a queue: counts, ages, performance and how jobs ended, against jobs of known times."""

from __future__ import annotations

import time

import pytest

from rq_py import JobSpec, Queue
from rq_py.clock import duration_text, seconds_of, utc_text


def put(queue: Queue, **fields: object) -> None:
    """Insert a row with these columns."""
    values = {"priority": 0, "submitter": "", "command": "true", "submitted": utc_text(), **fields}
    with queue.store.write() as tx:
        marks = ", ".join("?" * len(values))
        sql = f"INSERT INTO jobs ({', '.join(values)}) VALUES ({marks})"  # noqa: S608
        tx.execute(sql, list(values.values()))


def test_an_empty_queue(queue: Queue) -> None:
    assert queue.status() == {
        "jobs": {"pending": 0, "holding": 0, "running": 0, "finished": 0, "dead": 0, "total": 0},
        "temporal": {},
        "performance": {"avg_time_per_job": "00h00m00.00s", "n_jobs_in_last_hrs": {1: 0, 12: 0, 24: 0}},
        "exit_status": {"successes": 0, "failures": 0},
    }


def test_everything(queue: Queue) -> None:
    now = time.time()
    queue.submit_many([JobSpec("a", stage=True), JobSpec("b", stage=True)])  # 1, 2
    put(queue, state="pending", submitted=utc_text(now - 842.0))  # 3
    put(queue, state="pending", submitted=utc_text(now - 12.0))  # 4
    put(queue, state="running", started=utc_text(now - 7200))  # 5
    for hours, elapsed, exit_status in (
        (0.5, 2.0, 0),
        (0.6, 4.0, 42),
        (11, 6.0, 43),
        (23, 8.0, 0),
        (30, 10.0, 1),
    ):
        put(
            queue,
            state="finished",
            finished=utc_text(now - hours * 3600),
            elapsed=elapsed,
            exit_status=exit_status,
        )  # 6 to 10
    put(queue, state="finished", finished=utc_text(now), elapsed=1.0, signal=9)  # 11
    put(queue, state="dead", finished=utc_text(now), reason="stopped")  # 12
    status = queue.status({"ok": [0, 42, 42], "not_found": [127]})
    assert status["jobs"] == {
        "pending": 2, "holding": 2, "running": 1, "finished": 6, "dead": 1, "total": 12,
    }  # fmt: skip
    temporal = status["temporal"]
    assert isinstance(temporal, dict)
    assert list(temporal) == ["pending", "holding", "running", "finished"]
    assert {name: list(jobs) for name, jobs in temporal["pending"].items()} == {"min": [4], "max": [3]}
    assert temporal["pending"]["max"][3].startswith("00h14m0")
    assert temporal["running"]["min"][5].startswith("02h00m0")
    assert temporal["finished"] == {"min": {11: "00h00m01.00s"}, "max": {10: "00h00m10.00s"}}
    performance = status["performance"]
    assert isinstance(performance, dict)
    assert performance["n_jobs_in_last_hrs"] == {1: 3, 12: 4, 24: 5}
    assert performance["avg_time_per_job"] == duration_text(31 / 6)
    assert status["exit_status"] == {"successes": 2, "failures": 5, "ok": 3, "not_found": 0}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00h00m00.00s"),
        (0.604, "00h00m00.60s"),
        (59.999, "00h01m00.00s"),
        (3599.996, "01h00m00.00s"),
        (360000, "100h00m00.00s"),
        (-5, "00h00m00.00s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_times_are_utc_text_that_sorts() -> None:
    assert utc_text(1100281030.312094) == "2004-11-12 17:37:10.312094Z"
    assert utc_text(1100281030) == "2004-11-12 17:37:10.000000Z"
    assert seconds_of("2004-11-12 17:37:10.312094Z") == pytest.approx(1100281030.312094)
