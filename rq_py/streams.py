"""Which file a job's stdin, stdout or stderr is, and whether it is there."""

from __future__ import annotations

import stat
from pathlib import Path

from rq_py.errors import NotFound, StorageError
from rq_py.job import Job
from rq_py.queuedir import QueueDir


def stream_of(directory: QueueDir, job: Job, name: str) -> Path:
    """The file of stdin, stdout or stderr (``name``) of ``job``. Raises NotFound, StorageError."""
    path = directory.stream(name, job.jid)
    if not (job.has_stdin if name == "stdin" else job.started):
        yet = " yet" if name != "stdin" else ""
        raise NotFound(f"{path}: job {job.jid} is {job.state} and has no {name}{yet}")
    try:
        found = path.lstat()
    except FileNotFoundError:
        raise NotFound(f"{path}: the {name} of job {job.jid} is not there") from None
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise StorageError(f"{path}: is no regular file, so it is not the {name} of job {job.jid}")
    return path
