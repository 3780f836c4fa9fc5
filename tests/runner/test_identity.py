"""Process identity: start ticks whatever a process calls itself, zombies, and processes that are gone."""

from __future__ import annotations

import os
import subprocess
import time

import psutil

from rq_py.runner.identity import boot_id, boottime, is_alive, start_ticks


def test_start_ticks_agree_with_psutil() -> None:
    ticks = start_ticks(os.getpid())
    assert ticks is not None
    created = psutil.boot_time() + ticks / os.sysconf("SC_CLK_TCK")
    assert abs(created - psutil.Process().create_time()) < 1.5  # boot_time is in whole seconds


def test_a_process_that_is_not_there_has_no_start_ticks() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert start_ticks(child.pid) is None
    assert not is_alive(child.pid, 1)


def test_a_command_name_with_brackets_and_newlines_is_read_past() -> None:
    rename = (
        "import sys; open('/proc/self/comm','w').write(') Z 1 (\\n)'); print(flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(["python3", "-c", rename], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.readline()
    ticks = start_ticks(child.pid)
    assert ticks is not None
    assert is_alive(child.pid, ticks)
    assert not is_alive(child.pid, ticks + 1)
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_ticks(child.pid) == ticks, "a zombie keeps its start"
    assert not is_alive(child.pid, ticks), "but it is not alive"
    child.wait()
    child.stdout.close()


def test_boot_id_and_boottime() -> None:
    assert len(boot_id()) == 36
    assert boot_id() == boot_id()
    assert boottime() >= time.monotonic() - 1
