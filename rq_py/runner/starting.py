"""Starting a runner as a program of its own: no child of ours, and ready, or a reason why not."""

from __future__ import annotations

import os
import select
import site
import sysconfig
from pathlib import Path

import rq_py
from rq_py.errors import RunnerError
from rq_py.runner.identity import boottime
from rq_py.runner.protocol import READY, TAKEN
from rq_py.runner.statedir import LOG, open_state_dir

#: Seconds between two looks when another starter's runner is about to listen.
_NEXT_LOOK = 0.02


def start_runner(
    state_dir: str | os.PathLike[str], python: str, deadline: float, *, is_last_try: bool
) -> bool:
    """Start a runner for ``state_dir`` with the interpreter ``python`` and wait until it can be connected to.

    Where another one holds the place already this returns too, a moment later: connecting tells. It returns
    whether the new one ended without a word. Somebody may have killed it, so that is no error unless it
    ``is_last_try``, or too late for another; but it may have crashed as well, and would again.
    ``deadline`` is a reading of ``boottime()``.

    Raises:
        RunnerError: it did not start, or not in time; the message says where it logs.

    """
    log_path = Path(state_dir) / LOG
    directory = open_state_dir(state_dir)
    try:
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600, dir_fd=directory)
    finally:
        os.close(directory)
    reader, writer = os.pipe()
    try:
        pid = os.posix_spawn(
            python,
            [python, "-P", "-m", "rq_py.runner", "--state", os.path.abspath(state_dir), "--detach"],
            _environment(),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writer, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
        )
    except OSError as error:
        os.close(reader)
        raise RunnerError(f"cannot start a runner with {python}: {error.strerror}") from error
    finally:
        os.close(writer)
        os.close(log)
    try:
        answer = _read_answer(reader, deadline)
    finally:
        os.close(reader)
    _, status = os.waitpid(pid, 0)  # it has detached or failed by now; the runner itself is nobody's child
    was_silent = not answer and (status == 0 or os.WIFSIGNALED(status))  # before or after it had detached
    if answer == TAKEN or (was_silent and not is_last_try and boottime() < deadline):
        select.select([], [], [], _NEXT_LOOK)
    elif answer != READY:
        why = answer.decode(errors="replace").strip() or f"it was killed or crashed, see {log_path}"
        raise RunnerError(f"the runner did not start: {why}")
    return was_silent


def _read_answer(reader: int, deadline: float) -> bytes:
    """Return what the runner says until it closes its standard output."""
    answer = b""
    while len(answer) < 4096:
        readable, _, _ = select.select([reader], [], [], max(deadline - boottime(), 0))
        if not readable:
            raise RunnerError("the runner did not start in time")
        piece = os.read(reader, 4096)
        if not piece:
            break
        answer += piece
    return answer


def _environment() -> dict[str, str]:
    """Return our environment, and where this package is if a fresh interpreter would not find it."""
    environment = dict(os.environ)
    parent = str(Path(rq_py.__file__).resolve().parent.parent)
    installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()}
    if parent not in {str(Path(place).resolve()) for place in installed}:
        # Never for an installed package: its neighbours would come before the standard library.
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{parent}{os.pathsep}{before}" if before else parent
    return environment
