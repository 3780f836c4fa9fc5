"""``rqpy lock``: exit statuses, signals, who waits for whom, and that the holder looks alive."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from rq_py import Queue
from rq_py.errors import LockTimeout, StorageError
from tests.conftest import Rqpy, command_line
from tests.store.children import child
from tests.store.database import generations
from tests.waiting import wait_until


@pytest.mark.parametrize("kind", ["r", "read", "sh", "shared", "w", "write", "ex", "exclusive"])
@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["true"], 0),
        (["exit 7"], 7),
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
    ],
)
def test_it_exits_as_the_command_does(
    rqpy: Rqpy, queue: Queue, kind: str, words: list[str], status: int
) -> None:
    if kind not in ("r", "exclusive") and status not in (0, 7):
        return
    done = rqpy("lock", kind, "--", *words, queue=queue.path)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_what_cannot_be_run(rqpy: Rqpy, queue: Queue) -> None:
    missing = rqpy("lock", "r", "--", "no-such-program", "x", queue=queue.path)
    assert (missing.returncode, missing.stderr) == (127, "rqpy: no-such-program: no such command\n")
    forbidden = rqpy("lock", "r", "--", "/etc/passwd", "x", queue=queue.path)
    assert forbidden.returncode == 126
    for words in (["x", "--", "true"], ["r"], []):
        assert rqpy("lock", *words, queue=queue.path).returncode == 2


def test_the_example_of_rq(rqpy: Rqpy, used: Queue, tmp_path: Path) -> None:
    rqpy("L", "read", "--", "cp", "-r", "q", "q.bak", queue=used.path, check=True)
    assert list(Queue(tmp_path / "q.bak").jobs()) == list(used.jobs())


def test_the_command_gets_stdin_environment_and_no_descriptor(rqpy: Rqpy, queue: Queue) -> None:
    done = rqpy("lock", "w", "--", "cat; echo $HOME; ls -l /proc/self/fd", queue=queue.path, stdin="input\n")
    assert done.stdout.startswith(f"input\n{rqpy.environment['HOME']}\n")
    assert str(queue.path) not in done.stdout
    status = rqpy("lock", "r", "--", "cat", "/proc/self/status", queue=queue.path).stdout
    signals = dict(line.split(":\t") for line in status.splitlines() if line.startswith(("SigBlk", "SigIgn")))
    of_the_c_library = 0x180000000  # signals 32 and 33, nptl(7)
    assert {int(value, 16) & ~of_the_c_library for value in signals.values()} == {0}


@pytest.mark.parametrize("kind", ["read", "write"])
def test_nobody_gets_in_meanwhile(rqpy: Rqpy, queue: Queue, kind: str) -> None:
    program = """
import subprocess
from rq_py.errors import LockTimeout
try:
    Queue(arguments[0], timeout=0.2).submit("true")
except LockTimeout:
    os._exit(42)
"""
    inside = f"""{sys.executable} -c '
import os, sys
sys.argv = ["", "{queue.path}"]
{"".join(["from rq_py import Queue", chr(10), "arguments = sys.argv[1:]", program])}'"""
    done = rqpy("lock", kind, "--", inside, queue=queue.path, env={"PYTHONPATH": os.getcwd()})
    assert done.returncode == 42, done.stderr
    assert rqpy("submit", "true", "--timeout", "5", queue=queue.path).returncode == 0


def test_waiting_for_the_lock_can_time_out(rqpy: Rqpy, queue: Queue) -> None:
    with queue.hold(writing=True):
        done = rqpy("lock", "r", "--timeout", "0.2", "--", "echo", "never", queue=queue.path)
    assert (done.returncode, done.stdout) == (75, "")


_WAITER = """
queue = Queue(arguments[0])
say("asks")
say(queue.submit("true").jid)
"""


def test_the_holder_looks_alive_for_longer_than_the_lease(
    queue_path: Path, environment: Mapping[str, str], tmp_path: Path
) -> None:
    queue = Queue.create(queue_path, settings={"lock_lease": "3"})
    go, held = tmp_path / "go", tmp_path / "held"
    os.mkfifo(go)
    command = command_line(queue.path, "lock", "w", "--", f"echo x > {held}; read x < {go}")
    with subprocess.Popen(command, env=environment) as locker:
        wait_until(held.exists)
        with child(_WAITER, queue.path) as waiter:
            try:
                waiter.expect("asks")
                assert waiter.is_silent(6.5)
            finally:
                go.write_text("go\n")
            waiter.expect("1")
        assert locker.wait(20) == 0
    assert generations(queue) == ["db.1"]


def test_a_lock_that_was_lost_is_said(queue: Queue) -> None:
    with pytest.raises(StorageError, match="the lock was lost"), queue.hold(writing=True):
        queue.store.generations.supersede(queue.dir.generation(1), "a test")
    with pytest.raises(KeyError), queue.hold(writing=False):
        raise KeyError
    assert queue.submit("true").jid == 1


def test_what_a_dead_writer_left_is_rolled_back_before(rqpy: Rqpy, queue: Queue) -> None:
    from tests.store.test_killed import die_between_two_writes

    die_between_two_writes(queue)
    done = rqpy("lock", "r", "--", f"head -c 8 {queue.path}/db-journal | od -An -tx1", queue=queue.path)
    assert done.returncode == 0
    with queue.store.read() as tx:
        assert tx.execute("SELECT count(*), max(priority) FROM jobs").fetchone() == (40, 0)


_TRAP = 'trap "echo trapped >> {log}; exit 9" {name}; echo x > {held}; while :; do sleep 0.05; done'


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
def test_a_signal_goes_to_the_command(
    queue: Queue, environment: Mapping[str, str], tmp_path: Path, name: str
) -> None:
    log, held = tmp_path / "log", tmp_path / "held"
    script = _TRAP.format(log=log, name=name, held=held)
    locker = subprocess.Popen(
        command_line(queue.path, "lock", "w", "--", script), env=environment, start_new_session=True
    )
    with locker:
        wait_until(held.exists)
        locker.send_signal(getattr(signal, f"SIG{name}"))
        assert locker.wait(20) == 9
    assert log.read_text() == "trapped\n"
    assert queue.submit("true").jid == 1


_COUNTING = """
import signal, sys, time
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
open(sys.argv[1], "w").close()
while not got:
    time.sleep(0.01)
time.sleep(0.3)  # for a second one
sys.exit(len(got) + 8)
"""


def test_ctrl_c_reaches_the_command_once_and_its_end_frees_the_lock(
    queue: Queue, environment: Mapping[str, str], tmp_path: Path
) -> None:
    held = tmp_path / "held"
    words = command_line(queue.path, "lock", "w", "--", sys.executable, "-c", _COUNTING, held)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(words[0], list(words), dict(environment))  # noqa: S606
    try:
        wait_until(held.exists)
        os.write(terminal, b"\x03")
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 9
    assert queue.submit("true").jid == 1


def test_a_killed_locker_frees_the_lock(queue: Queue, environment: Mapping[str, str], tmp_path: Path) -> None:
    held = tmp_path / "held"
    locker = subprocess.Popen(
        command_line(queue.path, "lock", "w", "--", f"echo $$ > {held}; exec sleep 60"), env=environment
    )
    with locker:
        wait_until(lambda: held.exists() and held.read_text().strip())
        with pytest.raises(LockTimeout):
            Queue(queue.path, timeout=0.1).submit("true")
        locker.kill()
        locker.wait(20)
    os.kill(int(held.read_text()), signal.SIGKILL)
    assert queue.submit("true").jid == 1
