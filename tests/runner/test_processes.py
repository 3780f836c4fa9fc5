"""Whole trees: who belongs to a job, and that no signal reaches a process that only has its pid."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest

from rq_py.runner.identity import is_alive, start_ticks
from rq_py.runner.processes import Process, Tree, members, signal_process
from tests.waiting import wait_until

#: A child in a session of its own that tells its pid and does not end by SIGTERM.
DEAF_CHILD = "setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait"

Job = subprocess.Popen[str]


def identity(pid: int) -> Process:
    start = start_ticks(pid)
    assert start is not None
    return pid, start


@pytest.fixture
def jobs() -> Iterator[list[Job]]:
    """Shells that lead a session each; all that is left of them is killed afterwards."""
    started: list[Job] = []
    yield started
    for job in started:
        subprocess.run(["pkill", "-KILL", "-s", str(job.pid)], check=False)
        job.kill()
        job.wait()
        if job.stdout is not None:
            job.stdout.close()


def start_job(jobs: list[Job], script: str, lines: int) -> tuple[Process, list[Process]]:
    """Start ``script``, which prints the pids of its processes, and return its shell and those."""
    job = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True)
    jobs.append(job)
    assert job.stdout is not None
    return identity(job.pid), [identity(int(job.stdout.readline())) for _ in range(lines)]


def test_the_session_and_descendants_in_other_sessions_belong_to_it(jobs: list[Job]) -> None:
    script = "sleep 60 & echo $!; setsid sleep 61 & echo $!; wait"
    shell, children = start_job(jobs, script, 2)
    assert members(*shell) == sorted([shell, *children])


def test_background_children_belong_to_it_after_the_shell_has_ended(jobs: list[Job]) -> None:
    shell, children = start_job(jobs, "sleep 60 & echo $!", 1)
    jobs[0].wait()
    assert members(*shell) == children
    assert Tree(*shell).signal(signal.SIGTERM) == 1
    wait_until(lambda: not is_alive(*children[0]))


def test_kill_ends_all_of_it(jobs: list[Job]) -> None:
    script = f"trap '' TERM; {DEAF_CHILD}; wait"
    shell, children = start_job(jobs, script, 1)
    assert Tree(*shell).signal(signal.SIGKILL) >= 2
    wait_until(lambda: not any(is_alive(*process) for process in children))


def test_a_tree_remembers_who_has_left_its_session(jobs: list[Job]) -> None:
    """TERM ends the shell; the child, in a session of its own and deaf to TERM, is nobody's child then."""
    shell, (child,) = start_job(jobs, DEAF_CHILD, 1)
    tree = Tree(*shell)
    tree.signal(signal.SIGTERM)
    jobs[0].wait(10)
    assert is_alive(*child)
    assert child not in members(*shell), "nothing in /proc tells any more that it belongs to the job"
    tree.signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(*child))


def test_a_process_that_only_has_the_pid_is_never_signalled(jobs: list[Job]) -> None:
    """The pid is right, the start ticks are of an earlier process: protection (c), pid reuse."""
    shell, (child,) = start_job(jobs, "sleep 60 & echo $!; wait", 1)
    pid, start = shell
    assert not signal_process(pid, start - 1, signal.SIGKILL)
    assert members(pid, start - 1) == [], "a session that another process leads is not the job's"
    assert Tree(pid, start - 1).signal(signal.SIGKILL) == 0
    tree = Tree(pid, start - 1)
    tree.reached.add((child[0], child[1] - 1))
    assert tree.signal(signal.SIGKILL) == 0
    assert is_alive(*shell)
    assert is_alive(*child)


def test_a_process_that_has_gone_is_no_error() -> None:
    child = subprocess.Popen(["true"])
    pid, start = identity(child.pid)
    child.wait()
    assert Tree(pid, start).signal(signal.SIGKILL) == 0
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
    assert not signal_process(pid, start, signal.SIGTERM)
