"""Starts a feeder in the background and waits until it is up, or returns its error.

The feeder is a fresh program in its own session, not a fork of the caller: it inherits no terminal, no
descriptor and no half-done state. It says over a pipe that it is up, or its error, and closes the pipe.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import rq_py
from rq_py.errors import FeederError, FeederRunning, RqError
from rq_py.feeder import single
from rq_py.feeder.options import FeedOptions
from rq_py.queue import Queue
from rq_py.runner.identity import boottime

#: Seconds that a feeder may take to come up: its login shell has 20, its runner 10, the queue lock the rest.
UP_SECONDS = 120.0

# -P keeps the current directory off the path of modules, and the package's own parent is put on it: so the
# feeder runs the code of its caller, from a checkout as well, and no variable is left for jobs to see.
_PROGRAM = """import sys
package = sys.argv.pop(1)
if package not in sys.path:  # an installed package's neighbours must not come before the standard library
    sys.path.insert(0, package)
from rq_py.feeder.__main__ import main
main()
"""


class StartFailed(FeederError):
    """The feeder ended before it was up; carries its line and the exit code of its error."""

    def __init__(self, line: str, exit_code: int) -> None:
        super().__init__(line)
        self.exit_code = exit_code


def start(options: FeedOptions) -> int:
    """Start a feeder in the background; its pid once it is up.

    Raises FeederRunning when one runs already, StartFailed with the line and the code of any other error.
    """
    queue = Queue(options.queue, timeout=options.timeout)
    # Asked here as well as by the feeder's own lock: a cron entry that finds one running costs no process.
    if (who := single.info(queue.local_state)) is not None:
        raise FeederRunning(single.running_line(options.queue, who))
    options = replace(options, background=True, queue=str(queue.path), log=_absolute(options.log))
    reader, writer = os.pipe()
    try:
        package = str(Path(rq_py.__file__).parent.parent)
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, package, str(writer), options.to_json()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=writer,  # until it is up: what Python itself has to say when it cannot even begin
            cwd="/",
            pass_fds=(writer,),
            start_new_session=True,
        )
    except OSError as error:
        raise FeederError(f"cannot start a feeder with {sys.executable}: {error.strerror}") from error
    finally:
        os.close(writer)
    try:
        answer = _read(reader, boottime() + UP_SECONDS)
    finally:
        os.close(reader)
    process.returncode = 0  # it is not this process's to wait for, and subprocess must not complain
    return _judge(answer, process.pid)


def _absolute(path: str) -> str:
    return os.path.abspath(path) if path else ""


def _read(reader: int, deadline: float) -> bytes:
    """What the feeder says until it closes the pipe, which it does when it is up, or ends."""
    said = b""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while (left := deadline - boottime()) > 0:
        if poll.poll(left * 1000):
            piece = os.read(reader, 65536)
            if not piece:
                return said
            said += piece
    raise FeederError("the feeder is not up yet: see rqpy feeder, and its log")


def _judge(answer: bytes, pid: int) -> int:
    line = (answer.decode("utf-8", "replace").strip().splitlines() or ["without a word"])[-1]
    try:
        said = json.loads(line)
    except ValueError:
        raise FeederError(f"the feeder (pid {pid}) ended before it was up: {line}") from None
    if "pid" in said:
        return int(said["pid"])
    if said.get("running"):
        raise FeederRunning(said["error"])
    raise StartFailed(said["error"], said["exit_code"])


def up_message(pid: int) -> bytes:
    """What a feeder writes into the pipe when it is up."""
    return json.dumps({"pid": pid}).encode() + b"\n"


def error_message(error: Exception) -> bytes:
    """What a feeder writes into the pipe when it could not come up."""
    said = {
        "error": str(error) or type(error).__name__,
        "exit_code": error.exit_code if isinstance(error, RqError) else 1,
        "running": isinstance(error, FeederRunning),
    }
    return json.dumps(said).encode() + b"\n"
