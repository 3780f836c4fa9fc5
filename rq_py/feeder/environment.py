"""The environment that jobs get: the user's login environment, read once, at every job, or never.

Sourcing the profiles costs up to 0.1 s, so by default (``login: once``) one login shell is asked for its
environment when the feeder starts. Profiles are other people's programs: they print, wait for a key, replace
the shell or leave processes behind, and none of this may keep a feeder from starting.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

#: Seconds that a login shell may take before the feeder's own environment is used instead.
LOGIN_LIMIT = 20.0
#: Bytes of output after which a profile is given up: it prints without end.
LONGEST_OUTPUT = 16 * 1024 * 1024

#: Variables of a shell's own bookkeeping; each shell makes its own.
_BOOKKEEPING = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})
#: The one variable of rqpy that goes from the feeder to its jobs: a job that submits wakes its own node.
_HANDED_ON = frozenset({"RQ_NODE"})


@dataclass(frozen=True, slots=True)
class Environment:
    """How to start a job's shell: its argument vector, its variables, and what is known of its umask.

    ``umask`` is None where the shell of each job sets its own. ``warning`` says in one line what went
    wrong, '' for nothing.
    """

    shell: list[str]
    variables: dict[str, str]
    umask: int | None
    warning: str = ""


def for_jobs(shell: str, login: str, *, limit: float = LOGIN_LIMIT) -> Environment:
    """The environment of this user's jobs under the settings ``shell`` and ``login`` (once, each or never).

    ``limit`` is in seconds. Never fails: without a usable login shell the feeder's own environment is
    taken, with a warning.
    """
    own = _cleaned(os.environ)
    if login == "each":
        return Environment([shell, "-l"], own, None)
    umask = _current_umask()
    if login == "never":
        return Environment([shell], own, umask)
    try:
        variables, umask = _ask_login_shell(shell, own, limit)
    except _LoginFailed as error:
        warning = f"login shell {shell}: {error}; jobs get the feeder's own environment"
        return Environment([shell], own, umask, warning)
    return Environment([shell], _cleaned(variables), umask)


class _LoginFailed(Exception):
    """The login shell gave no environment; the text says why."""


def _ask_login_shell(shell: str, own: dict[str, str], limit: float) -> tuple[dict[str, str], int]:
    # NUL can be neither in a variable nor, usually, in the noise of a profile; the random mark makes sure.
    mark = secrets.token_hex(16)
    # `command -p` finds the real env whatever functions, aliases or PATH the profile made.
    question = f"printf '\\0%s\\0' {mark}; umask; printf '\\0'; command -p env -0; printf '\\0%s\\0' {mark}"
    begun = time.monotonic()
    try:
        process = subprocess.Popen(
            [shell, "-l", "-c", question],
            env=own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise _LoginFailed(f"cannot be started: {error.strerror}") from error
    assert process.stdout is not None  # noqa: S101  (PIPE was asked for)
    end = f"\0{mark}\0".encode()
    try:
        answer = _read_answer(process.stdout, end, begun + limit)
    finally:
        process.stdout.close()
        _end(process)
    pieces = answer.split(end)
    if len(pieces) < 3:
        raise _LoginFailed("its profile ended it before it could tell its environment")
    umask, _, variables = pieces[1].partition(b"\0")
    try:
        return _parse(variables), int(umask, 8)
    except ValueError:
        raise _LoginFailed("its answer makes no sense") from None


def _read_answer(stdout: IO[bytes], end: bytes, deadline: float) -> bytes:
    """Read until ``end`` was seen twice: a process that a profile left behind may keep the pipe open."""
    answer = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while answer.count(end) < 2:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise _LoginFailed("its profile did not come to an end in time")
            piece = os.read(stdout.fileno(), 65536)
            if not piece:
                break
            answer += piece
            if len(answer) > LONGEST_OUTPUT:
                raise _LoginFailed("its profile prints without end")
    return bytes(answer)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a shell that is done; end one that is not, with what it started in its session."""
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _parse(text: bytes) -> dict[str, str]:
    variables = {}
    for entry in text.split(b"\0"):
        name, separator, value = entry.partition(b"=")
        if separator and name:
            variables[os.fsdecode(name)] = os.fsdecode(value)
    return variables


def _cleaned(variables: Mapping[str, str]) -> dict[str, str]:
    """Without rqpy's and the shell's own variables, with what cron leaves out (environ(7))."""
    kept = {
        name: value
        for name, value in variables.items()
        if name not in _BOOKKEEPING and (not name.startswith("RQ_") or name in _HANDED_ON) and name != "RQ"
    }
    with contextlib.suppress(KeyError):  # a uid without an entry in the user database
        user = pwd.getpwuid(os.getuid())
        for name, value in (("HOME", user.pw_dir), ("USER", user.pw_name), ("LOGNAME", user.pw_name)):
            kept.setdefault(name, value)
    kept.setdefault("PATH", os.defpath)
    return kept


def _current_umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
