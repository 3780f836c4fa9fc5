"""``rqpy submit``: adds jobs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from rq_py.cli.commandwords import CommandTaking
from rq_py.cli.context import Context
from rq_py.cli.joboptions import job_options, quiet_option, stdin_source
from rq_py.cli.output import chosen_fields, listing_options, write_jobs
from rq_py.cli.overrides import Overrides, current_directory, variables
from rq_py.cli.printing import note, print_line, stdout
from rq_py.errors import InputError, RqError, StorageError, UsageError
from rq_py.formats.jobspec import Alike, checked
from rq_py.job import JobSpec

if TYPE_CHECKING:
    from rq_py.queue import Queue
    from rq_py.submitted import Submitted


_EXAMPLES = """\b
Examples:
  $ rqpy q submit --priority 9 --tag nightly sort -u names.txt
  $ printf '%s\\n' 'make all' 'make check' | rqpy q submit -
"""


@click.command(cls=CommandTaking, epilog=_EXAMPLES)
@click.argument("words", nargs=-1, metavar="[--] [COMMAND...|-]")
@click.option("--infile", "-i", metavar="FILE", help="Read commands or YAML from this file.")
@click.option(
    "--human", is_flag=True, help="They are steps for people, who complete them; no feeder runs them."
)
@click.option("--wait", is_flag=True, help="Wait until they have ended, and end as they did, as wait does.")
@job_options
@quiet_option
@listing_options
@click.pass_obj
def command(
    context: Context,
    *,
    words: Sequence[str],
    infile: str | None,
    human: bool,
    wait: bool,
    priority: int | None,
    tag: str | None,
    runner: str | None,
    restartable: bool | None,
    stage: bool,
    stdin: str | None,
    data: str | None,
    not_before: str | None,
    expires: str | None,
    job_timeout: str | None,
    retries: int | None,
    backoff: str | None,
    after: Sequence[str],
    collect: bool | None,
    key: str | None,
    cwd: str | None,
    env: Sequence[str],
    env_all: bool,
    quiet: bool,
    output: str,
    fields: Sequence[str],
) -> int:
    """Add jobs to the queue and print them, with their jids; with --wait when they have ended.

    COMMAND is one job, its words joined by spaces and run by the queue's shell. Without it, or for -, jobs
    are read from stdin: one command per line (blank lines and lines that begin with # are skipped), or,
    behind a line ---, YAML as list prints it. Options override what YAML says. All jobs are added at once,
    or none is.

    Options stand before COMMAND. Behind its first word, what is no option of submit belongs to it (submit
    ls -la); a long option of submit at the very end is still taken (submit cat --stdin=cat.in), and any
    other is refused, because it could be meant for either. --key and --human there are the command's (submit
    sort --key=2), and behind -- every word is.
    """
    shown_fields = chosen_fields(fields)
    overrides = Overrides(
        priority=priority,
        tag=tag,
        runner=runner,
        restartable=restartable,
        stage=stage,
        not_before=not_before,
        expires=expires,
        timeout=job_timeout,
        retries=retries,
        backoff=backoff,
        after=after,
        collect=collect,
        key=key,
        human=human,
        cwd=None if cwd is None else os.path.abspath(cwd),
        env=variables(env, env_all, os.environ),
    )
    if human:
        given = {
            "--job-timeout": job_timeout,
            "--retries": retries,
            "--backoff": backoff,
            "--collect": collect,
        }
        for option, value in given.items():
            if value:
                raise UsageError(f"{option}: nobody runs a human step; --expires says how long it waits")
    reads_stdin = infile == "-" or (infile is None and list(words) in ([], ["-"]))
    if reads_stdin and stdin == "-":
        raise UsageError(
            "stdin cannot be both the commands and what they read: give the command, or --infile"
        )
    if infile is not None and words:
        raise UsageError("give either --infile or a command, not both")
    if not quiet:
        stdout()  # a closed one is said before anything is submitted
    submitted = context.queue().submit_alike(
        _specs(words, None if reads_stdin else infile, overrides),
        stdin=stdin_source(stdin),
        data=Path(data) if data else None,
    )
    if submitted.new:
        note(f"{submitted.new} jobs were submitted, the first with jid {submitted.first_jid}")
    if submitted.new < submitted.count:
        note(f"{submitted.count - submitted.new} jobs were there already, by their keys")
    if wait:
        return _await(context.queue(), submitted, output, shown_fields, quiet=quiet)
    if not quiet:
        _print(submitted, output, shown_fields)
    return 0


def _await(
    queue: Queue, submitted: Submitted, output: str, fields: Sequence[str] | None, *, quiet: bool
) -> int:
    """Wait for the new jobs and return the exit status; who gives up is told what goes on."""
    from rq_py.cli.awaiting import Awaited

    queue.store.timeout = None  # --timeout was for the submit: after it, trying again would double the jobs
    try:
        return Awaited(queue, [submitted.jids()], quiet=quiet).run(None, output, fields)
    except (KeyboardInterrupt, RqError):
        print_line(f"{queue.path}: {submitted}, and go on without being waited for", "info")
        raise


def _print(submitted: Submitted, output: str, fields: Sequence[str] | None) -> None:
    """Print the new jobs. Raises StorageError that says they are in the queue: submitting again is wrong."""
    try:
        write_jobs(submitted, output, fields)
        stdout().flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(f"{submitted}, but cannot be printed: {error.strerror}") from error


def _specs(words: Sequence[str], infile: str | None, overrides: Overrides) -> Iterator[Alike]:
    """The jobs to submit. Raises InputError, and RqError where there is none."""
    directory = overrides.cwd or current_directory()
    if infile is not None:
        try:
            file = open(infile, "rb")  # noqa: SIM115
        except OSError as error:
            raise InputError(f"{infile}: {error.strerror}") from error
        try:
            yield from _read(file, infile, overrides, directory)
        finally:
            with suppress(OSError):  # of a file that was only read; here it would be nobody's to catch
                file.close()
    elif list(words) in ([], ["-"]):
        stream = _stdin()
        if stream.isatty():
            print_line("reading commands from the terminal, one per line; end with Ctrl-D", "info")
        yield from _read(stream, "stdin", overrides, directory)
    else:
        text = " ".join(words)
        yield Alike(overrides.apply(checked(JobSpec(text), "submit"), directory), (text,))


def _read(stream: BinaryIO, source: str, overrides: Overrides, directory: str) -> Iterator[Alike]:
    """The jobs in ``stream``, with the options applied."""
    from rq_py.formats.jobinput import read_jobs

    jobs = read_jobs(stream, source)
    first = next(jobs, None)
    if first is None:
        raise RqError(f"{source}: no commands, nothing was submitted")
    for number, alike in enumerate(chain((first,), jobs)):
        if overrides.is_for_one and (number or len(alike.commands) > 1):
            raise InputError(f"{source}: several jobs cannot have one --key: say key: of each in YAML")
        yield alike._replace(spec=overrides.apply(alike.spec, directory))


def _stdin() -> BinaryIO:
    """Standard input. Raises UsageError where it is closed."""
    if sys.stdin is None:
        raise UsageError("stdin is closed: give a command or --infile")
    return sys.stdin.buffer
