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
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rq_py import settings as settings_file
from rq_py.errors import NotAQueue, NotFound, StorageError
from rq_py.job import Job, JobSpec
from rq_py.locking.owner import node_name
from rq_py.queuedir import QueueDir, local_state_path
from rq_py.selection import Selection, Selector
from rq_py.store.files import file_errors
from rq_py.store.rows import COLUMNS, jobs_of
from rq_py.store.transaction import Store, Transaction
from rq_py.submission import Submitted, submit
from rq_py.wake import wake

if TYPE_CHECKING:
    from rq_py.staging import Source
    from rq_py.status import Status


class Queue:
    """A queue directory. Methods take the queue lock one at a time and hold it for milliseconds.

    ``timeout`` is seconds to wait for the lock in each method, None for ever; LockTimeout is raised
    after it. Every method may raise StorageError. Threads may share a Queue.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout: float | None = None) -> None:
        """Open the queue at ``path``. Raises NotAQueue, FormatTooNew, StorageError."""
        given = Path(os.path.abspath(path))
        with file_errors(given):
            exists = given.exists()
        if not exists:
            raise NotAQueue(f"{given}: no such directory, make a queue with: rqpy {path} create")
        self.dir = QueueDir(given)
        self.settings = settings_file.read(self.dir.settings)
        self.store = Store(self.dir, self.settings, timeout=timeout)

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
        return cls(path)

    @property
    def path(self) -> Path:
        """The directory, as an absolute path on this node."""
        return self.dir.path

    @property
    def local_state(self) -> Path:
        """Where this user's feeder and runner on this node keep their state."""
        return local_state_path(os.getuid(), node_name(), self.settings.uuid)

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
        submitted = submit(self.store, specs, stdin, None if data is None else Path(data))
        wake(self.local_state)
        return submitted

    def jobs(self, *selectors: Selector) -> Iterator[Job]:
        """The jobs in the given states, and those with the given jids, by jid; all without a selector.

        All rows are read at once and the lock is let go before the first is returned, so a reader
        that takes all night delays nobody. A jid that does not exist is passed over. Raises UsageError.
        """
        selection = Selection(selectors)
        with self.store.read() as tx:
            rows = _select(tx, selection)
        return jobs_of(cast("Iterable[list[object]]", rows))

    def job(self, jid: int) -> Job:
        """The job ``jid``. Raises NotFound."""
        for job in self.jobs(jid):
            return job
        raise NotFound(f"{self.path}: has no job {jid}")

    def status(self, exit_map: Mapping[str, Sequence[int]] | None = None) -> Status:
        """Counts, ages, performance and exit statuses; ``exit_map`` names further groups of those."""
        from rq_py.status import status

        with self.store.read() as tx:
            return status(tx, exit_map or {})

    def upgrade(self) -> list[int]:
        """Bring the schema of an old queue up to date; returns the versions applied.

        Older rqpys on other nodes refuse the queue afterwards. Raises FormatTooNew.
        """
        return self.store.upgrade()

    def check(self) -> str:
        """What SQLite's integrity_check says of the database: ``ok``, or what is wrong with it."""
        with self.store.read() as tx:
            rows = tx.execute("PRAGMA integrity_check(10)").fetchall()
        return "; ".join(" ".join(str(row[0]).split()) for row in rows)

    def tidy(self) -> list[Path]:
        """Remove what killed processes left a day ago: old generations, staged files. Returns what."""
        from rq_py.staging import prune

        return [*self.store.generations.prune(), *prune(self.dir)]

    def stream(self, jid: int, name: str) -> Path:
        """The file of stream ``name`` (stdin, stdout or stderr) of job ``jid``.

        Raises NotFound when there is no such job, or when it has no such stream (yet).
        """
        job = self.job(jid)
        path = self.dir.stream(name, jid)
        if not (job.has_stdin if name == "stdin" else job.started):
            raise NotFound(
                f"{path}: job {jid} is {job.state} and has no {name}" + (" yet" if name != "stdin" else "")
            )
        try:
            found = path.lstat()
        except FileNotFoundError:
            raise NotFound(f"{path}: the {name} of job {jid} is not there") from None
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise StorageError(f"{path}: is no regular file, so it is not the {name} of job {jid}")
        return path


def default_queue_path() -> Path:
    """Where the user's own queue is: below ``$XDG_DATA_HOME``, by default ``~/.local/share``."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # A relative XDG_DATA_HOME is to be ignored (XDG Base Directory Specification).
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "share"
    return root / "rqpy" / "queue"


def open_default(*, timeout: float | None = None) -> Queue:
    """Open the user's own queue, made on first use. Raises StorageError."""
    path = default_queue_path()
    if not QueueDir(path).settings.exists():
        from rq_py.creation import create_default

        create_default(path)
    return Queue(path, timeout=timeout)


def _select(tx: Transaction, selection: Selection) -> Iterable[Sequence[object]]:
    """Select job rows into a spool, ordered by jid."""
    from rq_py.spool import Spool

    where, values = selection.condition(tx)
    spool = Spool()
    rows = tx.execute(f"SELECT {COLUMNS} FROM jobs WHERE {where} ORDER BY jid", values)  # noqa: S608
    for count, row in enumerate(rows):
        spool.append(row)
        if count % 1024 == 0:
            tx.beat()
    return spool
