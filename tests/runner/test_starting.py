"""Starting: the directory that is refused, one runner only, found again, lean, and gone when idle."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rq_py.errors import RunnerError
from rq_py.runner.client import RunnerClient
from rq_py.runner.identity import is_alive, start_ticks
from tests.runner.conftest import RunnerUnderTest
from tests.waiting import wait_until

#: Bytes of resident memory that an idle runner may have.
MAX_RSS = 15_000_000


def start_refused(state_dir: Path) -> str:
    with pytest.raises(RunnerError) as refused:
        RunnerClient.connect_or_start(state_dir)
    program = subprocess.run(
        [sys.executable, "-m", "rq_py.runner", "--state", str(state_dir)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert program.returncode == 1
    assert program.stderr.strip() == str(refused.value)
    return str(refused.value)


def test_a_directory_with_another_mode_is_refused(state_dir: Path) -> None:
    for mode in (0o755, 0o770, 0o701, 0o1700):
        state_dir.chmod(mode)
        assert "its mode is" in start_refused(state_dir)


def test_a_symbolic_link_is_refused(state_dir: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(state_dir)
    assert "Not a directory" in start_refused(link)
    assert "No such file" in start_refused(tmp_path / "missing")


@pytest.mark.root
def test_a_directory_of_another_user_is_refused(state_dir: Path) -> None:
    os.chown(state_dir, 65534, 65534)
    assert "it belongs to uid 65534" in start_refused(state_dir)


@pytest.mark.parametrize("words", ["kill -9 $$", "exit 0"], ids=["at once", "after it has detached"])
def test_one_that_is_killed_while_it_starts_is_started_again(
    state_dir: Path, tmp_path: Path, words: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n[ -e {tmp_path}/once ] || {{ : > {tmp_path}/once; {words}; }}\n"
                      f'exec {sys.executable} "$@"\n')  # fmt: skip
    python.chmod(0o755)
    RunnerClient.connect_or_start(state_dir, str(python)).close()
    assert (tmp_path / "once").exists()


@pytest.mark.parametrize("words", ["kill -9 $$", "exit 0"], ids=["at once", "after it has detached"])
def test_one_that_crashes_again_and_again_is_not_started_for_ever(
    state_dir: Path, tmp_path: Path, words: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho once more >>{tmp_path}/tries\n{words}\n")
    python.chmod(0o755)
    with pytest.raises(RunnerError, match=rf"did not start: .*, see {state_dir}/runner\.log"):
        RunnerClient.connect_or_start(state_dir, str(python), deadline_seconds=60)
    assert (tmp_path / "tries").read_text() == "once more\n" * 2


def test_a_link_in_the_place_of_a_file_is_not_followed(state_dir: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (state_dir / "runner.lock").symlink_to(victim)
    with pytest.raises(RunnerError):
        RunnerClient.connect_or_start(state_dir)
    assert victim.read_text() == "precious"


def test_it_is_started_once_and_found_again_whoever_comes(state_dir: Path) -> None:
    pids: list[int] = []

    def come() -> None:
        client = RunnerClient.connect_or_start(state_dir)
        clients.append(client)

    clients: list[RunnerClient] = []
    comers = [threading.Thread(target=come) for _ in range(4)]
    for comer in comers:
        comer.start()
    for comer in comers:
        comer.join()
    assert len(clients) == 4
    last = RunnerClient.connect(state_dir)
    pids.append(last.hello(["sh"], os.environ).pid)
    start = start_ticks(pids[0])
    assert start is not None
    assert os.getsid(pids[0]) == pids[0], "a session of its own"
    assert os.readlink(f"/proc/{pids[0]}/cwd") == "/"
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    assert str(pids[0]) not in children, "and nobody's child"
    for client in [*clients, last]:
        client.close()
    os.kill(pids[0], signal.SIGTERM)
    wait_until(lambda: not is_alive(pids[0], start))
    assert not (state_dir / "runner.sock").exists()


def test_a_second_runner_leaves_the_place_to_the_first(runner: RunnerUnderTest) -> None:
    command = [sys.executable, "-m", "rq_py.runner", "--state", str(runner.state_dir)]
    second = subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[2])
    assert second.stdout == b"taken\n"
    assert runner.feeder.running() == []


def test_it_works_below_a_path_that_is_longer_than_a_socket_address(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    deep.chmod(0o700)
    under_test = RunnerUnderTest(deep)
    under_test.start()
    under_test.connect()
    assert under_test.run("exit 4").exit_status == 4
    under_test.clean_up()


def test_the_directory_is_locked_against_cleaners(runner: RunnerUnderTest) -> None:
    directory = os.open(runner.state_dir, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(directory)


def test_it_inherits_no_descriptor_of_who_started_it(state_dir: Path) -> None:
    ours, theirs = socket.socketpair()
    os.set_inheritable(theirs.fileno(), True)
    client = RunnerClient.connect_or_start(state_dir)
    theirs.close()
    ours.settimeout(10)
    assert ours.recv(1) == b"", "the runner does not hold the other end"
    ours.close()
    pid = client.hello(["sh"], os.environ).pid
    client.close()
    os.kill(pid, signal.SIGTERM)


def test_it_ends_by_itself_without_feeder_and_job(runner: RunnerUnderTest) -> None:
    runner.run(":")
    runner.disconnect()
    assert runner.wait_end() == 0
    assert not (runner.state_dir / "runner.sock").exists()


def test_it_loads_the_standard_library_only_and_stays_small(runner: RunnerUnderTest) -> None:
    code = "import sys, rq_py.runner.__main__; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout.split()
    assert "rq_py.runner.server" in loaded
    forbidden = {
        "sqlite3",
        "yaml",
        "click",
        "psutil",
        "filelock",
        "subprocess",
        "logging",
        "asyncio",
        "dataclasses",
    }
    assert not forbidden & set(loaded)
    runner.run(":")
    pages = int(Path(f"/proc/{runner.pid}/statm").read_text().split()[1])
    assert pages * os.sysconf("SC_PAGE_SIZE") < MAX_RSS
