"""What the modes about streams share: they copy a stream of jobs to stdout, or print where it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import click

from rq_py.cli.context import Context
from rq_py.cli.printing import print_line, stdout
from rq_py.cli.selectors import STDIN, read_selection
from rq_py.errors import NotFound, StorageError, UsageError
from rq_py.job import Job
from rq_py.queue import Queue

_CHUNK_BYTES = 1024 * 1024
#: Jobs that are looked up in one transaction: a listing of a million jobs takes the memory of so many.
_BATCH = 1000

_MANY = "Jobs may also come from stdin, for - or without any JID: a listing in YAML, or a jid on each line."


def stream_command(name: str, purpose: str) -> click.Command:
    """The command that prints the stream ``name`` of jobs; ``purpose`` is the first sentence of its help."""
    text = f"""{purpose}

    The bytes are copied as they are, one job's after the other's. A job that does not have the stream (yet)
    is named on stderr, and the exit status is 1. {_MANY}
    """

    @click.command(name, help=text, epilog=f"\b\nExample:\n  $ rqpy q {name} 1")
    @click.argument("jids", nargs=-1, metavar="[JID|-]...")
    @click.option("--path", "only_path", is_flag=True, help="Print the path of the file instead.")
    @click.pass_obj
    def command(context: Context, jids: Sequence[str], only_path: bool) -> int:
        show = _print_path if only_path else _copy
        return _each(context, jids, lambda queue, job: show(queue.stream_of(job, name)))

    return command


def path_command(name: str, purpose: str) -> click.Command:
    """The command that prints the path of the stream ``name`` of jobs."""
    when = "" if name == "stdin" else " The file is there once the job has started; its path is known before."
    text = f"""{purpose}

    The path is absolute, as this node sees the queue.{when} A job that does not exist{
        " or was given no stdin" if name == "stdin" else ""
    } is named on stderr, and the exit status is 1. {_MANY}
    """

    @click.command(f"{name}4", help=text, epilog=f"\b\nExample:\n  $ rqpy q {name}4 1")
    @click.argument("jids", nargs=-1, metavar="[JID|-]...")
    @click.pass_obj
    def command(context: Context, jids: Sequence[str]) -> int:
        def show(queue: Queue, job: Job) -> None:
            if name == "stdin":
                _print_path(queue.stream_of(job, name))
            else:
                _print_path(queue.dir.stream(name, job.jid))

        return _each(context, jids, show)

    return command


def jids_named(words: Sequence[str]) -> Sequence[int]:
    """The jids in ``words``, and those on stdin for the word ``-`` or without any word.

    Raises UsageError where there is none to be had, or a word that is no jid, and InputError.
    """
    selection = read_selection(words, implied_stdin=True)
    if selection.names_all or selection.states:
        raise UsageError("name jobs by their jids here; for those of a state: rqpy list STATE | ...")
    if not selection.jids and STDIN not in words:
        raise UsageError("no job is named: give jids, or a listing on stdin")
    return selection.jids


def jobs_of(queue: Queue, jids: Sequence[int]) -> Iterator[tuple[int, Job | None]]:
    """The jids in their order, each with its job, None where there is none.

    They are looked up so many at a time, in one transaction each.
    """
    left = iter(jids)
    while batch := list(islice(left, _BATCH)):
        found = {job.jid: job for job in queue.jobs(*batch)}
        for jid in batch:
            yield jid, found.get(jid)


def _each(context: Context, words: Sequence[str], show: Callable[[Queue, Job], None]) -> int:
    """Show every job that ``words`` name; the exit status is 1 where there is something to be missed."""
    jids = jids_named(words)
    queue = context.queue()
    status = 0
    for jid, job in jobs_of(queue, jids):
        if job is None:
            print_line(f"{queue.path}: has no job {jid}")
            status = 1
            continue
        try:
            show(queue, job)
        except NotFound as error:
            print_line(str(error))
            status = 1
    return status


def _print_path(path: Path) -> None:
    """Print a path, with the bytes that it has."""
    stdout().buffer.write(os.fsencode(path) + b"\n")


def _copy(path: Path) -> None:
    """Copy a file to stdout. Raises StorageError where it cannot be read."""
    out = stdout().buffer
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    with file:
        shutil.copyfileobj(file, out, _CHUNK_BYTES)
    out.flush()
