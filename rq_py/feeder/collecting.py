"""What a job is told about the jobs that it is after, and how the shell of one that collects reads them."""

from __future__ import annotations

import os
from contextlib import suppress

from rq_py.errors import StorageError
from rq_py.formats import afters
from rq_py.job import Job
from rq_py.queuedir import QueueDir

#: Characters of the list of jids from which on it is handed over as a file: Linux refuses a longer variable,
#: MAX_ARG_STRLEN in execve(2).
LONGEST = 128 * 1024 - 64

#: Writes the files that are named on stdin and exist, with few calls of cat; what is not there wrote nothing.
#: When nobody reads any more, a signal ends cat, and that is the end.
_READ = """{
set --
while read -r rq_jid; do
    [ ! -e "$rq_jid" ] || set -- "$@" "$rq_jid"
    [ $# -lt 200 ] || { cat -- "$@" || [ $? -lt 128 ] || exit; set --; }
done
[ $# -eq 0 ] || cat -- "$@"
}"""


def has_long_list(job: Job) -> bool:
    """Whether the list of what ``job`` is after is too long for a variable."""
    return job.after is not None and len(job.after) > LONGEST


def needs_file(job: Job) -> bool:
    """Whether there must be a file with that list before ``job`` is launched."""
    return job.collect and has_long_list(job)


def variables(job: Job, queue: QueueDir) -> dict[str, str]:
    """What ``job`` is told: the jids, or, if it collects and they are too many, the file that lists them."""
    if needs_file(job):
        return {"RQ_AFTER_FILE": _list_of(job, queue)}
    if job.after is None or has_long_list(job):
        return {}
    return {"RQ_AFTER": afters.jids_of(job.after)}


def reader(job: Job, stdout: str) -> str:
    """The command that writes what the jobs that ``job`` is after have written; ``stdout`` is a word."""
    read = f"(CDPATH= cd -- {stdout} && {_READ})"
    return f'{read} <"$RQ_AFTER_FILE"' if needs_file(job) else f"printf '%s\\n' $RQ_AFTER | {read}"


def write_list(job: Job, queue: QueueDir, mode: int) -> None:
    """Write the file that lists what ``job`` is after, one jid a line. Raises StorageError."""
    path = _list_of(job, queue)
    text = afters.jids_of(job.after or "").replace(" ", "\n")
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)  # of an earlier attempt, under another user perhaps
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, mode)
            file.write(f"{text}\n")
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


def _list_of(job: Job, queue: QueueDir) -> str:
    """That file: a job that collects has no other stdin."""
    return f"{queue.path}/stdin/{job.jid}"
