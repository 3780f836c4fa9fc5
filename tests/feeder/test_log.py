"""The log rotates by size and by age, and never fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rq_py.errors import StorageError
from rq_py.feeder import log
from rq_py.feeder.log import LOG


@pytest.fixture(autouse=True)
def back_to_stderr() -> Iterator[None]:
    yield
    log.set_up("")


def test_it_rotates_by_size_and_keeps_seven(tmp_path: Path) -> None:
    path = tmp_path / "feeder.log"
    log.set_up(str(path), size=200)
    for number in range(100):
        LOG.info("line %d", number)
    names = {entry.name for entry in tmp_path.iterdir()}
    assert names == {"feeder.log", *(f"feeder.log.{number}" for number in range(1, log.KEPT + 1))}
    assert all(entry.stat().st_size <= 200 for entry in tmp_path.iterdir())
    assert path.read_text().endswith("line 99\n")


@pytest.mark.parametrize(("age", "days"), [("daily", 2), ("weekly", 8), ("monthly", 40)])
def test_it_rotates_by_age_also_across_feeders(tmp_path: Path, age: str, days: int) -> None:
    path = tmp_path / "feeder.log"
    path.write_text("of an earlier feeder\n")
    then = time.time() - days * 86400
    os.utime(path, (then, then))
    log.set_up(str(path), age=age)
    LOG.info("today")
    LOG.info("today again")
    assert (tmp_path / "feeder.log.1").read_text() == "of an earlier feeder\n"
    assert path.read_text().count("today") == 2


def test_one_event_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "feeder.log"
    log.set_up(str(path))
    LOG.info("two\nlines \udcff")
    try:
        int("a\nb")
    except ValueError:
        LOG.exception("failed")
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("verbosity", "lines"), [("fatal", 0), ("error", 1), ("warn", 2), ("info", 3), ("debug", 4)]
)
def test_verbosity(tmp_path: Path, verbosity: str, lines: int) -> None:
    path = tmp_path / "feeder.log"
    log.set_up(str(path), verbosity=verbosity)
    for say in (LOG.error, LOG.warning, LOG.info, LOG.debug):
        say("x")
    assert len(path.read_text().splitlines()) == lines


def test_a_log_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write the log"):
        log.set_up(str(tmp_path / "missing" / "log"))


def test_a_log_that_cannot_be_written_costs_nothing() -> None:
    log.set_up("/dev/full", size=10, age="daily")
    LOG.info("lost")
    log.set_up("")
    code = "from rq_py.feeder import log; log.set_up(''); log.LOG.info('lost'); print('goes on', flush=True)"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.stdout == b"goes on\n"


def test_a_device_is_never_rotated(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    os.utime(path, (0, 0))
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log.set_up(str(path), size=1, age="daily")
    LOG.info("one")
    LOG.info("two")
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]
    os.close(reader)
