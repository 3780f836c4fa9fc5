"""Waits for jobs on the command line, for ``wait`` and ``submit --wait``: prints them, and how far it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rq_py.cli.output import write_jobs
from rq_py.cli.printing import print_line, stdout
from rq_py.errors import RqError
from rq_py.job import Job, State

if TYPE_CHECKING:
    from rq_py.queue import Queue
    from rq_py.selection import Selector


class Awaited:
    """Jobs that are waited for, each printed when it has ended unless it is ``quiet``."""

    def __init__(self, queue: Queue, selectors: Sequence[Selector], *, quiet: bool) -> None:
        self._queue = queue
        self._quiet = quiet
        self._wait = queue.wait(*selectors)
        self._failed: tuple[int, int] | None = None  # jid and exit status of the first that failed
        self._refusal: RqError | None = None

    def run(self, patience: float | None, output: str, fields: Sequence[str] | None) -> int:
        """Wait, ``patience`` seconds at most, and return the exit status of the whole. Raises WaitTimeout."""
        if self._quiet:
            for _ in self._ended(patience):
                pass
        else:
            write_jobs(self._ended(patience), output, fields)
        if self._refusal is not None:
            raise self._refusal
        for jid in self._wait.missing:
            print_line(f"{self._queue.path}: has no job {jid}")
            self._note(jid, 1)
        return self._failed[1] if self._failed else 0

    def _ended(self, patience: float | None) -> Iterator[Job]:
        """The jobs as they end; what was printed of them is seen at once."""
        with _Progress(self._wait.count, shown=not self._quiet) as progress:
            try:
                for job in self._wait.ended(patience):
                    status = exit_status_of(job)
                    if status:
                        self._note(job.jid, status)
                    yield job
                    if not self._quiet:
                        stdout().flush()
                    progress.advance()
            except RqError as error:
                self._refusal = error  # raised when what has ended is printed as a whole

    def _note(self, jid: int, status: int) -> None:
        """A job has failed: of several the one with the least jid says how the whole ends."""
        if self._failed is None or jid < self._failed[0]:
            self._failed = jid, status


def exit_status_of(job: Job) -> int:
    """The exit status of a process that ends as ``job`` has: 128 and the signal, 1 where it is dead.

    One that was ended by a limit has failed, also where it takes TERM and exits with 0.
    """
    if job.state is State.FINISHED and job.signal is not None:
        return 128 + job.signal
    if job.state is State.FINISHED and job.exit_status is not None:
        return job.exit_status or (1 if job.reason else 0)
    return 1


class _Progress:
    """A bar on stderr while both it and the wait are somebody's: on a terminal, and not ``quiet``."""

    def __init__(self, count: int, *, shown: bool) -> None:
        self._bar = None
        if shown and count > 1 and sys.stderr is not None and sys.stderr.isatty() and not _is_same_terminal():
            from click import progressbar

            self._bar = progressbar(length=count, label="jobs", file=sys.stderr, show_pos=True)

    def __enter__(self) -> _Progress:
        if self._bar is not None:
            self._bar.__enter__()
            self._bar.render_progress()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def advance(self) -> None:
        """One job more has ended."""
        if self._bar is not None:
            self._bar.update(1)


def _is_same_terminal() -> bool:
    """Whether the jobs are printed to a terminal too: they tell how far it is, and a bar would cross them."""
    return sys.stdout is not None and sys.stdout.isatty()
