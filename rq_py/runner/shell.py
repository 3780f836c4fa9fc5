"""One shell: started ready-made, waiting for its word, executing nothing before it.

The shell's own command is ``BOOT``. It reads one line from a pipe (descriptor 3); only the word "go" brings
it to the script in descriptor 4, and when the runner dies first it reads the end of the file and leaves.
The script is a file in memory because a shell reads a pipe byte by byte (it may not read ahead).
"""

from __future__ import annotations

import fcntl
import os
import signal
import termios
from collections.abc import Mapping, Sequence

from rq_py.runner.identity import start_ticks
from rq_py.runner.journal import Record
from rq_py.runner.processes import Tree

BOOT = b"read -r go <&3 && . /proc/self/fd/4"

#: Bytes of an exit's reason.
MAX_REASON = 500

#: Descriptors that a shell starts with; the runner keeps its own above them.
SHELL_FDS = 5

# Everything that can be set: the feeder, or what started it, may have ignored SIGINT or SIGHUP (nohup, a
# background job of sh), and what is ignored stays so through exec (signal(7)); Python ignores SIGPIPE.
_DEFAULT_SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})

READY = "ready"  # waits for its word
LEAVING = "leaving"  # was told to leave: executes nothing, and is killed when ``leave_by`` has come
GOING = "going"  # executes its job


class Shell:
    """A shell of ours from its start to its reaping; its state goes from ready to going or to leaving."""

    def __init__(self, argv: Sequence[bytes], environment: Mapping[bytes, bytes]) -> None:
        """Start ``argv`` with ``environment`` in a session of its own.

        Raises:
            OSError: it cannot be started, or no descriptors are left.

        """
        self.state = READY
        self.job: Record = {}  # what the journal holds about it, once it is going
        self.started = 0.0  # boottime() of its "go"
        self.leave_by = 0.0  # boottime() at which a leaving shell is killed
        self._tree: Tree | None = None
        self._start: int | None = None
        self._noise = 0
        self._script = self._early = self._go = -1
        word = -1
        try:
            self._script = os.memfd_create("rqpy-script")
            self._early = os.memfd_create("rqpy-early-stderr")
            word, self._go = os.pipe()
            self.pid = os.posix_spawn(
                argv[0],
                [*argv, b"-c", BOOT],
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, self._early, 2),
                    (os.POSIX_SPAWN_DUP2, word, 3),
                    (os.POSIX_SPAWN_DUP2, self._script, 4),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=_DEFAULT_SIGNALS,
            )
        except OSError:
            self.close()
            raise
        finally:
            if word >= 0:
                os.close(word)

    @property
    def start(self) -> int:
        """Its start time in clock ticks since boot. OSError if no descriptor is left to read it with.

        It is read when it is first needed: a process that executes its program just now keeps whoever
        asks waiting, 0.2 ms as measured, and the entry of a child that we have not reaped does not go away.
        """
        if self._start is None:
            self._start = start_ticks(self.pid)
            if self._start is None:
                raise FileNotFoundError(f"process {self.pid} is not in /proc")
        return self._start

    @property
    def tree(self) -> Tree:
        """All its processes. OSError as for ``start``."""
        if self._tree is None:
            self._tree = Tree(self.pid, self.start)
        return self._tree

    def hand_script(self, script: bytes) -> None:
        """Put ``script`` where the shell will find it; OSError if that fails, then try again or leave it."""
        os.ftruncate(self._script, 0)
        done = 0
        while done < len(script):
            done += os.pwrite(self._script, script[done:], done)

    def go(self, job: Record, now: float) -> None:
        """Have the shell execute its script. The journal must know that already.

        Raises:
            BrokenPipeError: the shell has ended, and has executed nothing.

        """
        self._noise = os.fstat(self._early).st_size
        os.write(self._go, b"go\n")
        self.job = job
        self.started = now
        self.state = GOING
        self._script = _closed(self._script)  # the pipe stays, for ``has_begun``

    def leave(self, leave_by: float) -> None:
        """Have a ready shell end without executing anything."""
        self.state = LEAVING
        self.leave_by = leave_by
        self._drop_pipe_and_script()

    def kill(self) -> None:
        """Kill a shell that does not leave, and what its profile has started; it is our unreaped child."""
        os.killpg(self.pid, signal.SIGKILL)

    @property
    def has_begun(self) -> bool:
        """Whether a shell that was told to go has taken its word, which it does when its profile is done.

        The pipe tells, because a profile may have sent descriptor 2, where a mark could be left, elsewhere.
        """
        left = fcntl.ioctl(self._go, termios.FIONREAD, bytes(4))  # a C int: the bytes that nobody has read
        return not any(left)

    def last_words(self) -> str | None:
        """Return the last line that the shell wrote to its own stderr since it was told to go, if any.

        The job's stderr is another file: this is the shell that cannot open the job's files.
        """
        size = os.fstat(self._early).st_size
        begin = max(self._noise, size - 4 * MAX_REASON)
        lines = os.pread(self._early, 4 * MAX_REASON, begin).decode("utf-8", "replace").split("\n")
        texts = ["".join(c if c.isprintable() else " " for c in line).strip() for line in lines]
        last = next((text for text in reversed(texts) if text), None)
        return None if last is None else last.encode()[:MAX_REASON].decode("utf-8", "ignore")

    def close(self) -> None:
        """Close the descriptors that belong to the shell, once it was reaped."""
        self._drop_pipe_and_script()
        self._early = _closed(self._early)

    def _drop_pipe_and_script(self) -> None:
        self._go = _closed(self._go)
        self._script = _closed(self._script)


def _closed(fd: int) -> int:
    """Close ``fd`` if it is open, and return what stands for a closed one."""
    if fd >= 0:
        os.close(fd)
    return -1
