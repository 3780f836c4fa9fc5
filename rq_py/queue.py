"""The public Python API: a queue, as scripts and the command line use it.

Ten lines are enough::

from rq_py import Queue

queue = Queue("/shared/q")
job = queue.submit("make report", priority=5, tag="nightly")
for job in queue.jobs("finished"):
    print(job.jid, job.exit_status, queue.stream(job.jid, "stdout").read_text())
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack, cast

from rq_py.errors import NotFound
from rq_py.job import Conditions, Job, JobSpec
from rq_py.wake import wake
from rq_py.wholequeue import WholeQueue

if TYPE_CHECKING:
    from rq_py.editing.changes import Changes, TouchChanges
    from rq_py.editing.edits import Edited
    from rq_py.formats.jobspec import Alike
    from rq_py.querying import Result
    from rq_py.selection import Selection, Selector
    from rq_py.staging import Source
    from rq_py.status import Status
    from rq_py.submitted import Submitted
    from rq_py.waiting import Wait


class Queue(WholeQueue):
    """A queue directory. Methods take the queue lock one at a time and hold it for milliseconds.

    ``timeout`` is seconds to wait for the lock in each method, None for ever; LockTimeout is raised
    after it. Every method may raise StorageError. Threads may share a Queue.
    """

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        group: str | None = None,
        public: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> Queue:
        """Make a queue at ``path``, which must not exist or be an empty directory, and open it.

        It is private to the user, or shared with ``group`` (reads and writes), or readable by all
        (``public``). ``settings`` are texts, as ``shell=sh`` on the command line. Raises QueueExists,
        UnsafeMount, UsageError, StorageError.
        """
        from rq_py.creation import create

        create(Path(os.path.abspath(path)), group=group, public=public, texts=settings or {})
        return cls._opened(Path(path))

    def submit(
        self,
        command: str,
        *,
        priority: int = 0,
        tag: str | None = None,
        runner: str | None = None,
        restartable: bool = False,
        stage: bool = False,
        stdin: Source | None = None,
        data: str | os.PathLike[str] | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        **conditions: Unpack[Conditions],
    ) -> Job:
        """Submit one shell command; when this returns, the job is on stable storage.

        ``runner`` is the only node that may run it. ``stdin`` is bytes, an open binary file or a path,
        ``data`` a path; both are copied. ``cwd`` is the current directory unless given. Raises InputError.
        """
        spec = JobSpec(
            command,
            priority=priority,
            tag=tag,
            required_runner=runner,
            restartable=restartable,
            stage=stage,
            cwd=os.getcwd() if cwd is None else cwd,
            env=env or {},
            **conditions,
        )
        (job,) = self.submit_many([spec], stdin=stdin, data=data)
        return job

    def submit_many(
        self,
        specs: Iterable[JobSpec],
        *,
        stdin: Source | None = None,
        data: str | os.PathLike[str] | None = None,
    ) -> Submitted:
        """Submit jobs in one transaction, all or none; ``specs`` may be a generator of millions.

        ``stdin`` and ``data`` are given to every one of them. Raises InputError.
        """
        from rq_py.formats.jobspec import one_by_one

        return self.submit_alike(one_by_one(specs), stdin=stdin, data=data)

    def submit_alike(
        self,
        groups: Iterable[Alike],
        *,
        stdin: Source | None = None,
        data: str | os.PathLike[str] | None = None,
    ) -> Submitted:
        """Like ``submit_many``, for what ``formats.jobinput`` has read and checked."""
        from rq_py.submission import submit

        submitted = submit(self.store, groups, stdin, None if data is None else Path(data))
        wake(self.local_state)
        return submitted

    def jobs(self, *selectors: Selector) -> Iterator[Job]:
        """The jobs in the given states, and those with the given jids, by jid; all without a selector.

        All rows are read at once and the lock is let go before the first is returned, so a reader
        that takes all night delays nobody. A jid that does not exist is passed over. Raises UsageError.
        """
        from rq_py.store.rows import jobs_of

        selection = _selection(selectors)
        with self.store.read() as tx:
            rows = selection.rows(tx)
        return jobs_of(cast("Iterable[list[object]]", rows))

    def wait(self, *selectors: Selector) -> Wait:
        """A wait for jobs, by default all that have not ended; ``ended()`` gives them as they do."""
        from rq_py import waiting

        return waiting.Wait(self.store, selectors)

    def job(self, jid: int) -> Job:
        """The job ``jid``. Raises NotFound."""
        for job in self.jobs(jid):
            return job
        raise NotFound(f"{self.path}: has no job {jid}")

    def recent(self, count: int) -> list[Job]:
        """The ``count`` jobs that were submitted last, the last one first; however many there are."""
        from rq_py.store.rows import COLUMNS, jobs_of

        with self.store.read() as tx:
            sql = f"SELECT {COLUMNS} FROM jobs ORDER BY jid DESC LIMIT ?"  # noqa: S608
            return list(jobs_of(tx.execute(sql, [count]).fetchall()))

    def status(self, exit_map: Mapping[str, Sequence[int]] | None = None) -> Status:
        """Counts, ages, performance and exit statuses; ``exit_map`` names further groups of those."""
        from rq_py.status import status

        with self.store.read() as tx:
            return status(tx, exit_map or {})

    def query(
        self, where: str, parameters: Sequence[object] = (), *, limit: int | None = None
    ) -> Iterator[Job]:
        """The jobs that meet a condition, by jid, at most ``limit`` of them; spooled like ``jobs``.

        ``where`` is simple conditions, ``tag=important priority!=6 command=~%job%``, or an SQL condition on
        the fields of a listing, in which each ``?`` stands for one of ``parameters``. It can only read,
        whatever is written in it. Raises UsageError for a wrong condition.
        """
        from rq_py.querying import query

        return query(self.store, where, parameters, limit=limit)

    def execute(self, sql: str, *, confirm: Callable[[], None] | None = None) -> list[Result]:
        """Run SQL statements in one transaction; they may change rows of ``jobs`` and nothing else.

        Before any row is changed ``confirm`` is called, without the lock; it raises something to prevent it.
        Raises UsageError.
        """
        from rq_py.querying import execute

        results = execute(self.store, sql, confirm)
        if any(result.changed for result in results):
            wake(self.local_state)
        return results

    def delete(self, *selectors: Selector, keep_rows: bool = True) -> Edited:
        """Delete the selected jobs that do not run, with their streams and data, and return what they were.

        ``all`` selects every job. Without ``keep_rows`` only the count is returned. Raises UsageError.
        """
        from rq_py.editing.edits import delete

        return delete(self.store, _selection(selectors), keep_rows=keep_rows)

    def update(self, *selectors: Selector, keep_rows: bool = True, **changes: Unpack[Changes]) -> Edited:
        """Change the selected jobs that are pending or holding: ``queue.update(42, priority=7, tag=None)``.

        Raises UsageError, InputError.
        """
        from rq_py.editing.edits import update

        return self._woken(update(self.store, _selection(selectors), changes, keep_rows=keep_rows))

    def resubmit(self, *selectors: Selector, keep_rows: bool = True, **changes: Unpack[Changes]) -> Edited:
        """Let the selected jobs that do not run be run again: same jid, next attempt, same stdin.

        Raises UsageError, InputError.
        """
        from rq_py.editing.edits import resubmit

        return self._woken(resubmit(self.store, _selection(selectors), changes, keep_rows=keep_rows))

    def touch(self, command: str, *, tag: str | None = None, **changes: Unpack[TouchChanges]) -> Edited:
        """Change the waiting jobs with this command and tag, or submit one where there is none.

        The latter starts in the current directory unless ``cwd`` is given. Raises UsageError, InputError.
        """
        from rq_py.editing.touching import touch

        return self._woken(touch(self.store, command, tag, changes, cwd=os.getcwd()))

    def complete(
        self, *jids: Selector, fail: bool = False, note: str | None = None, keep_rows: bool = True
    ) -> Edited:
        """Say that human steps are done, or have failed; jobs that are after them go on then.

        Those that are not pending, no human steps, or not to be done yet are refused. Raises UsageError,
        InputError.
        """
        from rq_py.editing.humansteps import complete

        return self._woken(complete(self.store, _selection(jids), fail=fail, text=note, keep_rows=keep_rows))

    def _woken(self, edited: Edited) -> Edited:
        """Wake this node's feeder, for there may be something to run."""
        wake(self.local_state)
        return edited

    def stream(self, jid: int, name: str) -> Path:
        """The file of stdin, stdout or stderr (``name``) of job ``jid``. Raises NotFound: none (yet)."""
        return self.stream_of(self.job(jid), name)

    def stream_of(self, job: Job, name: str) -> Path:
        """Like ``stream``, for a job that was read before; takes no lock. Raises NotFound."""
        from rq_py.streams import stream_of

        return stream_of(self.dir, job, name)


def _selection(selectors: Iterable[Selector]) -> Selection:
    """The jobs that ``selectors`` select. Raises UsageError."""
    from rq_py.selection import Selection  # a submit selects none

    return Selection(selectors)
