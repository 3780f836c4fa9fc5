"""Follows the streams of jobs as they grow, for ``rqpy tail``: what is new in each file, and when to look.

A file is opened anew for each look, because opening is when an NFS client asks the server how long the file
is (close-to-open consistency, nfs(5)). Whether jobs have ended is read from the queue only when something was
committed to it, and then sparingly.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from rq_py.errors import StorageError
from rq_py.job import Job, State
from rq_py.queue import Queue
from rq_py.waiting import Looks

#: Seconds between two looks at the files: at first, and at most, when nothing is written.
SHORTEST, LONGEST = 0.1, 1.0
_CHUNK_BYTES = 1024 * 1024
#: Bytes of a line that is kept back until it is whole; a longer one is printed in pieces.
_LONGEST_LINE = 64 * 1024


@dataclass
class _Followed:
    """One stream of one job: how far it was read, and the beginning of a line that is not whole yet."""

    jid: int
    name: str
    position: int = 0
    rest: bytes = b""


@dataclass
class _Tail:
    """The streams of one running job."""

    attempt: int
    streams: list[_Followed] = field(default_factory=list)


class Following:
    """Follows jobs until all have ended; ``out`` gets their bytes, with the jid before each line if there
    are several. ``gone`` is told of every job that there is not, or that was deleted meanwhile.
    """  # noqa: D205

    def __init__(
        self,
        queue: Queue,
        jids: Iterable[int],
        names: tuple[str, ...],
        out: BinaryIO,
        gone: Callable[[int], None],
    ) -> None:
        self._queue = queue
        self._names = names
        self._out = out
        self._gone = gone
        self._left = dict.fromkeys(jids)
        self._prefixed = len(self._left) > 1
        self._tails: dict[int, _Tail] = {}
        self._looks = Looks(queue.store)

    def run(self) -> None:
        """Follow until the last job has ended, or the reader of ``out`` has closed it.

        Raises BrokenPipeError, StorageError.
        """
        pause = SHORTEST
        while True:
            ended = self._look_at_queue()
            grown = [self._read(followed) for tail in self._tails.values() for followed in tail.streams]
            for jid in ended:
                self._end(jid)
            self._out.flush()
            if not self._left:
                return
            pause = SHORTEST if any(grown) or ended else min(LONGEST, pause * 1.5)
            self._wait(pause)

    def _look_at_queue(self) -> list[int]:
        """Note which jobs have started since the last look; the jids of those that have ended."""
        if not self._looks.are_due():
            return []
        ended, found = [], set()
        for job in self._queue.jobs(*self._left):
            found.add(job.jid)
            if job.state is State.RUNNING or job.started:
                self._start(job)
            if job.state in (State.FINISHED, State.DEAD):
                ended.append(job.jid)
        for jid in [jid for jid in self._left if jid not in found]:
            self._gone(jid)
            ended.append(jid)
        self._looks.done()
        return ended

    def _start(self, job: Job) -> None:
        """Follow the streams of a job that has started; a new attempt begins them anew."""
        tail = self._tails.get(job.jid)
        if job.state in (State.PENDING, State.HOLDING):
            return  # what an earlier attempt left is not what it will write
        if tail is None or tail.attempt != job.attempt:
            self._tails[job.jid] = _Tail(job.attempt, [_Followed(job.jid, name) for name in self._names])

    def _end(self, jid: int) -> None:
        """Print what is left of a job's last lines, and follow it no longer."""
        del self._left[jid]
        tail = self._tails.pop(jid, None)
        for followed in tail.streams if tail else ():
            if followed.rest:
                self._print_lines(jid, followed.rest + b"\n")

    def _read(self, followed: _Followed) -> bool:
        """Print what is new in a stream; whether there was anything."""
        path = self._queue.dir.stream(followed.name, followed.jid)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return False  # its shell has not opened it yet, or the job was deleted
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        try:
            if os.fstat(descriptor).st_size < followed.position:  # the job itself has truncated it
                followed.position, followed.rest = 0, b""
            grown = False
            while piece := os.pread(descriptor, _CHUNK_BYTES, followed.position):
                followed.position += len(piece)
                self._print(followed, piece)
                grown = True
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise StorageError(f"{path}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        return grown

    def _print(self, followed: _Followed, piece: bytes) -> None:
        """Print bytes of a stream: as they are for one job, whole lines with the jid for several."""
        if not self._prefixed:
            self._out.write(piece)
            return
        whole, newline, rest = (followed.rest + piece).rpartition(b"\n")
        if newline:
            self._print_lines(followed.jid, whole + newline)
        while len(rest) > _LONGEST_LINE:
            self._print_lines(followed.jid, rest[:_LONGEST_LINE] + b"\n")
            rest = rest[_LONGEST_LINE:]
        followed.rest = rest

    def _print_lines(self, jid: int, lines: bytes) -> None:
        prefix = b"%d: " % jid
        self._out.writelines(prefix + line for line in lines.splitlines(keepends=True))

    def _wait(self, seconds: float) -> None:
        """Wait, but not for a reader that has gone. Raises BrokenPipeError."""
        poll = select.poll()
        poll.register(self._out.fileno(), 0)  # errors are reported unasked: poll(2)
        for _, events in poll.poll(seconds * 1000):
            if events & select.POLLERR:
                raise BrokenPipeError
            time.sleep(seconds)  # a terminal that hung up says so all the time; SIGHUP ends this
