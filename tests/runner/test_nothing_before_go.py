"""A ready shell executes nothing before its word, and the journal knows before it gets that."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

from rq_py.runner.identity import is_alive
from rq_py.runner.processes import Process
from rq_py.runner.shell import Shell
from tests.runner.conftest import BEGIN, RunnerUnderTest
from tests.waiting import wait_until

ENVIRONMENT = {b"PATH": os.environb[b"PATH"]}


def start_with_script(script: str) -> Shell:
    shell = Shell([b"/bin/sh"], ENVIRONMENT)
    shell.hand_script((BEGIN + script).encode())
    return shell


def test_a_shell_that_has_its_script_but_not_its_word_executes_nothing(tmp_path: Path) -> None:
    """(a): a script that lies there is not executed; a killed runner closes the pipe, as ``leave`` does."""
    witness = tmp_path / "executed"
    shell = start_with_script(f"touch '{witness}'")
    shell.leave(0)
    _, status = os.waitpid(shell.pid, 0)
    shell.close()
    assert os.waitstatus_to_exitcode(status) != 0
    assert not witness.exists()


def test_it_waits_for_the_word_however_long_that_takes(tmp_path: Path) -> None:
    witness = tmp_path / "executed"
    shell = start_with_script(f"touch '{witness}'")
    wait_until(lambda: sleeps(shell.pid))
    assert not witness.exists()
    shell.go({}, 0)
    os.waitpid(shell.pid, 0)
    shell.close()
    assert witness.exists()


def sleeps(pid: int) -> bool:
    """Whether the process sleeps, which a shell does that has nothing to do but to read."""
    return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_no_word_is_given_when_the_journal_cannot_be_written(runner: RunnerUnderTest, tmp_path: Path) -> None:
    """(d): "going" comes first, so a journal that cannot take it keeps the job from being launched."""
    witness = tmp_path / "executed"
    runner.run(":")
    journal = runner.state_dir / "runner.journal"
    # Every write fails that would make a file longer than the journal is: EFBIG, setrlimit(2).
    resource.prlimit(runner.pid, resource.RLIMIT_FSIZE, (journal.stat().st_size,) * 2)
    order = runner.order(f"touch '{witness}'")
    result = runner.feeder.launch([order], 1)
    assert result.launched == []
    assert "cannot write its journal" in result.failed[0][1]
    wait_until(lambda: not is_alive(*runner.launched[-1]))
    assert not witness.exists()
    assert f'"jid":{order.key.jid},' not in journal.read_text(), "nothing of it is left there"


def test_ready_shells_end_with_the_feeder_and_jobs_run_on(runner: RunnerUnderTest, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    os.mkfifo(go_on)
    key = runner.launch(f"read -r x <'{go_on}'; exit 7")
    ready = [(shell.pid, shell.start) for shell in runner.feeder.ready(3)]
    runner.disconnect()
    wait_until(lambda: not any(is_alive(*shell) for shell in ready))
    assert is_alive(*runner.launched[0])
    assert [running.key for running in runner.connect().running] == [key]
    go_on.write_text("\n")
    assert runner.wait_exits()[0].exit_status == 7


def test_a_ready_shell_that_does_not_leave_is_killed(runner: RunnerUnderTest, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.write_text("trap '' TERM HUP\nsleep 60\n")
    runner.connect("bash", env={"PATH": os.environ["PATH"], "BASH_ENV": str(profile)})
    (shell,) = runner.feeder.ready(1)
    runner.feeder.drop()
    wait_until(lambda: not is_alive(shell.pid, shell.start))


def test_ready_shells_end_when_the_runner_is_killed(runner: RunnerUnderTest) -> None:
    ready: list[Process] = [(shell.pid, shell.start) for shell in runner.feeder.ready(3)]
    os.kill(runner.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(*shell) for shell in ready))


def test_a_hello_with_another_environment_replaces_the_ready_shells(runner: RunnerUnderTest) -> None:
    environment = dict(os.environ)
    runner.feeder.hello(["sh"], environment)
    (old,) = runner.feeder.ready(1)
    runner.feeder.hello(["sh"], environment)
    assert runner.feeder.ready(1) == [old], "the same again changes nothing"
    runner.feeder.hello(["sh"], environment | {"NEW": "1"})
    (new,) = runner.feeder.ready(1)
    assert new != old
    wait_until(lambda: not is_alive(old.pid, old.start))
