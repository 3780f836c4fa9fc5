"""Jobs through a real runner: what is known of their end, what they inherit, and how they are killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rq_py.errors import RunnerError
from rq_py.runner.client import Key, Launch, LaunchResult
from rq_py.runner.identity import boottime, start_ticks
from rq_py.runner.server import IDLE_SECONDS
from rq_py.runner.withheld import LOOK_SECONDS
from tests.runner.conftest import RunnerUnderTest
from tests.waiting import wait_until


def test_exit_status_and_times(runner: RunnerUnderTest) -> None:
    before = time.time()
    ended = runner.run("sleep 0.2; exit 42")
    assert (ended.exit_status, ended.signal, ended.reason) == (42, None, None)
    assert 0.2 <= ended.elapsed < 5
    assert before < ended.finished < time.time()


def test_signal(runner: RunnerUnderTest) -> None:
    ended = runner.run("kill -SEGV $$")
    assert (ended.exit_status, ended.signal) == (None, signal.SIGSEGV)


def test_resources_are_those_of_the_job_alone(runner: RunnerUnderTest) -> None:
    python = f"'{sys.executable}' -c"
    runner.run(f"{python} 'sum(range(10**7)); b = bytes(1 << 26)'")
    idle = runner.run(":")
    busy = runner.run(f"{python} 'sum(range(10**7)); b = b\"x\" * (1 << 26)'")
    assert busy.user_cpu > 0.05 > idle.user_cpu
    assert busy.max_rss > 1 << 26 > idle.max_rss


def test_exits_of_several_jobs_come_with_their_own_keys(runner: RunnerUnderTest) -> None:
    keys = {runner.launch(f"exit {number}"): number for number in range(5)}
    assert {ended.key: ended.exit_status for ended in runner.wait_exits(5)} == keys


def test_nothing_but_the_standard_descriptors_reaches_a_job(runner: RunnerUnderTest, tmp_path: Path) -> None:
    runner.order("")  # a second ready shell, with descriptors of its own in the runner
    out = tmp_path / "out"
    code = "import os; print(sorted(os.listdir('/proc/self/fd'), key=int))"
    for shell in ("sh", "bash"):
        runner.connect(shell)
        assert runner.run(f"exec >'{out}' 2>&1; '{sys.executable}' -c \"{code}\"").exit_status == 0
        assert out.read_text() == "['0', '1', '2', '3']\n", "3 is what lists them"


def test_signals_are_default_in_a_job_whatever_the_runner_was_started_with(
    stopped: RunnerUnderTest, tmp_path: Path
) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and a background job of sh do
    try:
        stopped.start()
    finally:
        signal.signal(signal.SIGINT, before)
    stopped.connect()
    out = tmp_path / "out"
    stopped.run(f"grep -E 'Sig(Blk|Ign)' /proc/self/status >'{out}'")
    blocked, ignored = (int(line.split()[1], 16) for line in out.read_text().splitlines())
    assert blocked == 0
    assert ignored & ~(0b11 << 31) == 0, "32 and 33 are glibc's own, and ignored by its posix_spawn"


def test_a_job_leads_a_session_in_the_root_directory(runner: RunnerUnderTest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    runner.run(f"cut -d' ' -f1,6 /proc/$$/stat >'{out}'; pwd >>'{out}'")
    pid, session, directory = out.read_text().split()
    assert (pid, directory) == (session, "/")


def test_the_environment_is_the_feeders_byte_for_byte(runner: RunnerUnderTest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    runner.connect(env={"PATH": os.environ["PATH"], "ODD": "\udcff é \n"})
    runner.run(f"printf %s \"$ODD\" >'{out}'")
    assert out.read_bytes() == "\udcff é \n".encode("utf-8", "surrogateescape")


def test_what_the_shell_says_before_it_fails_with_126_is_the_reason(runner: RunnerUnderTest) -> None:
    ended = runner.run("command exec </no/such/file || exit 126")
    assert ended.exit_status == 126
    assert ended.reason is not None
    assert "/no/such/file" in ended.reason
    assert runner.run("exec 2>/dev/null; echo unheard >&2; exit 126").reason is None
    long = runner.run("printf '%0999d' 1 >&2; exit 126").reason
    assert long is not None
    assert len(long) == 500


@pytest.mark.parametrize("end", ["exit 0", "exit 7", "exec true"])
def test_a_job_whose_profile_ends_the_shell_after_the_word_has_not_finished(
    runner: RunnerUnderTest, tmp_path: Path, end: str
) -> None:
    gate, ran = tmp_path / "gate", tmp_path / "ran"
    (tmp_path / ".bash_profile").write_text(f"until [ -e '{gate}' ]; do sleep 0.05; done; {end}\n")
    runner.feeder.hello(["bash", "-l"], {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    key = runner.launch(f": >'{ran}'")
    gate.touch()  # only now, with the word in its pipe, the profile goes on
    (ended,) = runner.wait_exits()
    assert (ended.key, ended.exit_status, ended.signal) == (key, 126, None)
    assert ended.reason == "its shell ended before the job began (login profile?)"
    assert not ran.exists()


def test_a_profile_may_send_the_shells_stderr_elsewhere(runner: RunnerUnderTest, tmp_path: Path) -> None:
    (tmp_path / ".bash_profile").write_text("exec 2>/dev/null\n")
    runner.feeder.hello(["bash", "-l"], {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert [runner.run(f"exit {status}").exit_status for status in (0, 5)] == [0, 5]


def test_kill_reaches_the_whole_tree_and_nothing_is_left(runner: RunnerUnderTest) -> None:
    key = runner.launch("sleep 60 & setsid sleep 60 & wait")
    wait_until(lambda: runner.feeder.kill(key, signal.SIGCONT) == 3)
    assert runner.feeder.kill(key, signal.SIGTERM) == 3
    (ended,) = runner.wait_exits()
    assert ended.signal == signal.SIGTERM
    assert runner.feeder.kill(Key(99, 1, "unknown"), signal.SIGKILL) == 0


def test_what_outlives_a_killed_shell_can_be_killed_until_it_is_confirmed(
    runner: RunnerUnderTest, tmp_path: Path
) -> None:
    deaf = tmp_path / "deaf"
    key = runner.launch(f"setsid sh -c \"trap '' TERM; : >'{deaf}'; while :; do sleep 1; done\" & wait")
    wait_until(deaf.exists)
    runner.feeder.kill(key, signal.SIGTERM)
    runner.wait_exits()
    assert runner.feeder.kill(key, signal.SIGKILL) >= 1
    wait_until(lambda: runner.feeder.kill(key, signal.SIGKILL) == 0)


def test_a_kill_with_a_reason_is_told_when_nothing_is_left(runner: RunnerUnderTest, tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    key = runner.launch(f"sh -c \"trap '' TERM; : >'{deaf}'; while :; do sleep 0.1; done\"; :")
    wait_until(deaf.exists)
    with pytest.raises(RunnerError, match="NUL"):
        runner.feeder.kill(key, signal.SIGTERM, "a\0b")
    runner.feeder.kill(key, signal.SIGTERM, "x" * 600)
    (known,) = runner.feeder.running()
    assert known.reason == "x" * 500
    wait_until(lambda: start_ticks(known.pid) is None)  # the shell was reaped
    assert runner.connect().running == [known], "also for the next feeder"
    runner.feeder.kill(key, signal.SIGKILL)
    (ended,) = runner.wait_exits()
    assert (ended.key, ended.signal, ended.reason) == (key, signal.SIGTERM, "x" * 500)
    runner.disconnect()
    assert [known.reason for known in runner.connect().exits] == ["x" * 500]
    assert runner.run("exit 3").reason is None


def test_a_runner_stays_for_what_outlives_a_shell_and_keeps_its_exit(
    runner: RunnerUnderTest, tmp_path: Path
) -> None:
    key = runner.launch(f"sh -c \"trap '' TERM; echo \\$\\$ >'{tmp_path}/deaf'; exec sleep 1000\"; :")
    wait_until(lambda: (tmp_path / "deaf").exists() and (tmp_path / "deaf").read_text().endswith("\n"))
    runner.feeder.kill(key, signal.SIGTERM, "too much")
    (known,) = runner.feeder.running()
    wait_until(lambda: start_ticks(known.pid) is None)
    runner.disconnect()
    assert runner.process is not None
    with pytest.raises(subprocess.TimeoutExpired):
        runner.process.wait(IDLE_SECONDS * 2)
    os.kill(int((tmp_path / "deaf").read_text()), signal.SIGKILL)
    assert runner.wait_end() == 0
    runner.start()
    assert [(ended.key, ended.reason) for ended in runner.connect().exits] == [(key, "too much")]


def test_exits_that_are_held_back_share_a_look_at_all_processes(
    runner: RunnerUnderTest, tmp_path: Path
) -> None:
    held, requests = 8, 40
    deaf = "trap '' TERM; echo >>'{}'; exec sleep 1000"
    keys = [runner.launch(f'sh -c "{deaf.format(tmp_path / "deaf")}"; :') for _ in range(held)]
    wait_until(lambda: (tmp_path / "deaf").exists() and (tmp_path / "deaf").read_text() == "\n" * held)
    for key in keys:
        runner.feeder.kill(key, signal.SIGTERM, "too much")
    pids = [known.pid for known in runner.feeder.running()]
    wait_until(lambda: all(start_ticks(pid) is None for pid in pids))
    before, began = reads(runner.pid), boottime()
    for _ in range(requests):
        runner.feeder.running()
    looks = (boottime() - began) / LOOK_SECONDS + 2
    # A look reads a file of each process, of which there may be more now. And a request is read.
    most = looks * (len(os.listdir("/proc")) + 200) + requests * 10
    assert reads(runner.pid) - before < most
    for key in keys:
        runner.feeder.kill(key, signal.SIGKILL)
    assert {ended.key for ended in runner.wait_exits(held)} == set(keys)


def reads(pid: int) -> int:
    """How often a process has called read(2) and the like."""
    return int(re.findall(r"^syscr: (\d+)$", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)[0])


def test_launching_twice_or_in_a_shell_that_is_not_ready_fails(runner: RunnerUnderTest) -> None:
    order = runner.order("sleep 60")
    assert runner.feeder.launch([order, order], 2).failed == [
        (order.key, "this attempt was launched already")
    ]
    other = runner.order(":").key
    for pid in (order.pid, 1):
        result = runner.feeder.launch([Launch(pid, other, restartable=False, script=":")], 1)
        assert result == LaunchResult([], [(other, f"shell {pid} is not ready")])


def test_a_program_that_is_no_shell_is_reported_and_not_started_for_ever(runner: RunnerUnderTest) -> None:
    runner.connect("/no/shell")
    with pytest.raises(RunnerError, match="cannot start /no/shell: No such file"):
        runner.feeder.ready(1)
    with pytest.raises(RunnerError, match="no shell 'no-such-shell' on the PATH"):
        runner.connect("no-such-shell")
    runner.connect("/bin/false")

    def refused() -> bool:
        try:
            runner.feeder.ready(2)
        except RunnerError as error:
            return "it ends at once" in str(error)
        return False

    wait_until(refused)


def test_neither_zombies_nor_descriptors_pile_up(runner: RunnerUnderTest) -> None:
    children = Path(f"/proc/{runner.pid}/task/{runner.pid}/children")

    def only_ready_shells() -> bool:
        return len(children.read_text().split()) == 2

    runner.run(":")
    wait_until(only_ready_shells)
    runner.feeder.running()  # it answers, so it is not in the middle of starting one
    before = runner.open_fds()
    for _ in range(500):
        runner.feeder.confirm([runner.run("(:) & :").key])
    wait_until(lambda: only_ready_shells() and runner.open_fds() == before)
