"""The program ``python -m rq_py.runner --state DIR [--detach]``: takes its place and serves.

With ``--detach`` it goes into the background and tells its standard output whether it is ready.
"""

from __future__ import annotations

import fcntl
import gc
import os
import socket
import sys
import time
from contextlib import suppress

from rq_py.errors import RunnerError
from rq_py.runner.journal import Journal
from rq_py.runner.protocol import READY, TAKEN
from rq_py.runner.server import Server
from rq_py.runner.shell import SHELL_FDS
from rq_py.runner.statedir import LOCK, SOCKET, open_state_dir, socket_address

#: Bytes of its log that a runner finds and keeps, and that it adds at the most.
MAX_LOG = 1024 * 1024


class Log:
    """Lines with their time (UTC) on standard error; silent after ``MAX_LOG`` bytes."""

    def __init__(self) -> None:
        self._left = MAX_LOG

    def __call__(self, text: str) -> None:
        """Write one line."""
        moment = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        line = f"{moment} runner {os.getpid()}: {text}\n".encode(errors="replace")
        self._left -= len(line)
        if self._left > 0:
            with suppress(OSError):  # a full disk must not disturb the jobs
                os.write(2, line)


def main(arguments: list[str]) -> int:
    """Run the runner with the command line ``arguments`` and return its exit status."""
    detach = arguments[2:] == ["--detach"]
    if len(arguments) != 2 + detach or arguments[0] != "--state":
        sys.stderr.write("usage: python -m rq_py.runner --state DIR [--detach]\n")
        return 2
    if detach and os.fork():
        return 0
    with suppress(PermissionError):  # not for the leader of a process group: started from a shell, to look at
        os.setsid()
    try:
        prepare_process()
        directory = open_state_dir(arguments[1])
        os.chdir("/")
        if not take_place(directory):
            os.write(1, TAKEN)
            return 0
        log = Log()
        journal = Journal(directory, log)
        listener = listen(directory)
        server = Server(journal, listener, log)
    except (RunnerError, OSError) as error:
        os.write(1 if detach else 2, f"{error}\n".encode(errors="replace"))
        return 1
    gc.freeze()  # what is there now stays: the collector need not look at it again and again
    os.write(1, READY)
    os.dup2(0, 1)
    server.run()
    with suppress(FileNotFoundError):
        os.unlink(SOCKET, dir_fd=directory)
    return 0


def prepare_process() -> None:
    """Make the process one that depends on nothing that it was started with, and leaks nothing to jobs."""
    os.umask(0o077)
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2:  # a lock of cron's or the like, which must not live on in us
            with suppress(OSError):  # the one that listed them is gone
                os.close(fd)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    while null < SHELL_FDS:  # a shell's first descriptors are put in their place one by one: keep ours above
        null = os.dup(null)
    with suppress(OSError):
        if os.fstat(2).st_size > MAX_LOG:
            os.ftruncate(2, 0)


def take_place(directory: int) -> bool:
    """Take the place of the one runner in ``directory``, as long as this process lives; False if it is taken.

    The shared lock on the directory itself has systemd's cleaners of /var/tmp pass it by, tmpfiles.d(5).
    """
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(directory, fcntl.LOCK_SH)
    return True


def listen(directory: int) -> socket.socket:
    """Return a socket that listens in ``directory``, in the place of what an earlier runner has left."""
    with suppress(FileNotFoundError):
        os.unlink(SOCKET, dir_fd=directory)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    listener.bind(socket_address(directory))
    listener.listen(16)
    return listener


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
