"""``--log``, ``--log-age``, ``--log-size``, ``--verbosity`` and ``--quiet``: every mode has them."""

from __future__ import annotations

import os
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.cli.modes import MODES
from tests.architecture.test_processes import loaded_by
from tests.conftest import Rqpy, command_line
from tests.waiting import wait_until

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}Z (\w+) +(\w+)\[(\d+)\]: (.*)")


@pytest.fixture
def queue(queue_path: Path) -> Queue:
    return Queue.create(queue_path)


def entries(log: Path) -> list[tuple[str, str, str]]:
    """Level, mode and text of every line; each must be whole."""
    found = []
    for line in log.read_text().splitlines():
        match = LINE.fullmatch(line)
        assert match, line
        found.append((match[1], match[2], match[4]))
    return found


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_them(rqpy: Rqpy, mode: str) -> None:
    text = rqpy("help", mode, check=True).stdout
    for option in ("--log", "--log-age", "--log-size", "--verbosity", "--quiet"):
        assert len(re.findall(rf"{option}\b(?!-)", text)) >= 1, option
        assert len(re.findall(rf"^ .*{option} (FILE|LEVEL|BYTES) ", text, re.MULTILINE)) <= 1, "twice"


def test_the_log_says_what_a_mode_did(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    log = tmp_path / "a log"
    plain = rqpy("submit", "--fields", "jid", "true", queue=queue.path, check=True)
    done = rqpy("--log", str(log), str(queue.path), "submit", "--fields", "jid", "true", check=True)
    assert (done.stdout, done.stderr) == (plain.stdout.replace("1", "2"), ""), "nothing else has changed"
    (did, ends) = entries(log)
    assert did == ("info", "submit", "1 jobs were submitted, the first with jid 2")
    assert ends[:2] == ("info", "submit")
    assert re.fullmatch(
        rf"submit ends with 0 after \d+\.\d{{3}} s: {queue.path}, 0\.\d{{3}} s waiting for its lock", ends[2]
    )
    rqpy("delete", "1", "7", "--log", log, queue=queue.path)
    assert [entry[::2] for entry in entries(log)[2:4]] == [
        ("info", "1 jobs were deleted"),
        ("error", "no job 7"),
    ]
    assert entries(log)[4][2].startswith("delete ends with 1 after ")


def test_a_failure_is_in_the_log_and_on_stderr(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = rqpy("query", "nonsense here", "--log", log, "--quiet", queue=queue.path)
    assert done.returncode == 2
    assert done.stderr == f"rqpy: {entries(log)[0][2]}\n"
    assert entries(log)[0][:2] == ("critical", "query")
    done = rqpy("list", "--log", tmp_path / "missing" / "log", queue=queue.path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"rqpy: {tmp_path}/missing/log: cannot write the log: No such file or directory\n"


@pytest.mark.parametrize("level", ["debug", "4", "info", "3"])
def test_without_a_file_it_goes_to_stderr(rqpy: Rqpy, queue: Queue, level: str) -> None:
    done = rqpy("list", f"-v{level}", queue=queue.path, check=True)
    lines = done.stderr.splitlines()
    assert len(lines) == (2 if level in ("debug", "4") else 1)
    assert lines[-1].startswith("rqpy: list ends with 0 after ")
    assert rqpy("list", queue=queue.path, check=True).stderr == ""


def test_verbosity_and_quiet_on_stderr(rqpy: Rqpy, queue: Queue) -> None:
    nothing = f"rqpy: no job has ended in {queue.path}: there is nothing to rotate\n"
    for words, said in (
        ([], nothing),
        (["--quiet"], ""),
        (["-q", "--verbosity=debug"], ""),
        (["--verbosity", "warn"], ""),
        (["--verbosity", "error"], ""),
    ):
        done = rqpy("rotate", *words, queue=queue.path)
        assert (done.returncode, done.stdout) == (0, "")
        assert said == "".join(line for line in done.stderr.splitlines(True) if "ends with" not in line)
    missing = f"rqpy: no job 7 in {queue.path}\n"
    for words, said in (([], missing), (["-q"], missing), (["-v1"], missing), (["-v0"], "")):
        done = rqpy("list", "7", *words, queue=queue.path)
        assert (done.returncode, done.stderr) == (1, said), words
    fatal = rqpy("list", "-v0", "-q", "nonsense", queue=queue.path)
    assert (fatal.returncode, fatal.stderr.count("\n")) == (2, 1), "what ends a mode is always said"


def test_quiet_of_what_is_made(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    queue.submit("true", cwd="/")
    rqpy("feed", "--until-empty", "-v0", queue=queue.path, check=True)
    for mode in ("snapshot", "backup", "rotate"):
        done = rqpy(mode, "-q", tmp_path / mode, queue=queue.path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), mode
        assert (tmp_path / mode / "queue.yml").exists()
    done = rqpy("create", "--quiet", queue=tmp_path / "new")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_rotates_by_size_and_by_age(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for _ in range(3):
        rqpy("list", "--log", log, "--log-size", "100", queue=queue.path, check=True)
    assert sorted(path.name for path in tmp_path.glob("log*")) == ["log", "log.1", "log.2"]
    then = time.time() - 40 * 86400
    os.utime(log, (then, then))
    rqpy("list", "--log", log, "--log-age", "monthly", queue=queue.path, check=True)
    assert (tmp_path / "log.3").exists()
    assert len(entries(log)) == 1
    for words in (["--log-age", "yearly"], ["--log-size", "big"], ["--verbosity", "loud"]):
        done = rqpy("list", "--log", log, *words, queue=queue.path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_wait_for_the_lock_is_told(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = command_line(queue.path, "list", "--log", log, "-v4")
    with queue.hold(writing=True):
        process = subprocess.Popen(words, env=rqpy.environment, stdin=subprocess.DEVNULL)
        wait_until(lambda: _opened(process.pid, "lock"))
        time.sleep(0.1)
    assert process.wait(60) == 0
    told = re.search(r"(\d+\.\d{3}) s waiting for its lock", entries(log)[-1][2])
    assert told
    assert float(told[1]) >= 0.1


def _opened(pid: int, name: str) -> bool:
    """Whether a process has a file of this name open."""
    opened = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed in the meantime
            opened.add(os.path.basename(os.readlink(link)))
    return name in opened


def test_in_the_environment_they_hold_for_every_mode(rqpy: Rqpy, queue: Queue, tmp_path: Path) -> None:
    log = tmp_path / "log"
    env = {"RQ_OPTS": f"--log {log} --verbosity=debug"}
    for mode in ("status", "list", "configure"):
        rqpy(mode, queue=queue.path, env=env, check=True)
    assert {entry[1] for entry in entries(log)} == {"status", "list", "configure"}


def test_a_submit_loads_a_log_only_where_there_is_one(
    environment: dict[str, str], queue: Queue, tmp_path: Path
) -> None:
    words = [str(queue.path), "submit", "-q", "true"]
    assert "logging" not in loaded_by("--verbosity=debug", *words, environment=environment)
    loaded = loaded_by("--log", str(tmp_path / "log"), *words, environment=environment)
    assert "logging" in loaded
    assert not loaded & {"psutil", "filelock", "yaml"}
