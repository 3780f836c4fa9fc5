"""``rqpy ioview``: opens the streams of jobs in an editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from rq_py.cli.context import Context
from rq_py.cli.printing import print_line
from rq_py.cli.streams import jids_named, jobs_of
from rq_py.errors import NotFound, RqError, UsageError
from rq_py.formats.excerpt import shown
from rq_py.queuedir import STREAMS

#: The editor where neither --editor nor RQ_EDITOR names one, as in rq.
DEFAULT_EDITOR = "vim -R -o"


@click.command(epilog="\b\nExample:\n  $ rqpy q ioview 1 --editor 'head -v'")
@click.argument("jids", nargs=-1, metavar="[JID|-]...")
@click.option(
    "--editor",
    "-e",
    metavar="COMMAND",
    help="A program that opens several files; RQ_EDITOR unless given, else vim -R -o.",
)
@click.pass_obj
def command(context: Context, jids: Sequence[str], editor: str | None) -> int:
    """Open stdin, stdout and stderr of a job together in an editor; those of several, one after the other.

    What a job does not have (yet) is left out. Jobs may also come from stdin, for - or without any JID: a
    listing in YAML, or a jid on each line. The exit status is 1 where there is nothing to open, or where the
    editor fails.
    """
    argv = editor_words(editor, os.environ)
    named = jids_named(jids)
    queue = context.queue()
    failed = False
    from_stdin = not jids or "-" in jids
    for jid, job in jobs_of(queue, named):
        files: list[Path] = []
        for name in STREAMS if job else ():
            try:
                assert job is not None  # noqa: S101
                files.append(queue.stream_of(job, name))
            except NotFound:
                continue
        if not files:
            print_line(f"{queue.path}: " + (f"job {jid} has no streams yet" if job else f"has no job {jid}"))
            failed = True
        elif status := _open(argv, files, from_stdin):
            print_line(f"{argv[0]} ended with {status}")
            failed = True
    return 1 if failed else 0


def editor_words(option: str | None, environ: Mapping[str, str]) -> list[str]:
    """The editor as the words of a command. Raises UsageError for one that is none."""
    text = option if option is not None else environ.get("RQ_EDITOR") or DEFAULT_EDITOR
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{shown(text)}: is no command for an editor: {error}") from None
    if not words:
        raise UsageError("--editor: is empty")
    return words


def _open(argv: Sequence[str], files: Sequence[Path], from_stdin: bool) -> int:
    """Run the editor and return its exit status; it gets the terminal where stdin was the listing."""
    terminal = None
    if from_stdin and not sys.stdin.isatty():
        try:
            terminal = os.open("/dev/tty", os.O_RDONLY)
        except OSError:
            terminal = os.open(os.devnull, os.O_RDONLY)
    try:
        return subprocess.run([*argv, *files], stdin=terminal, check=False).returncode
    except OSError as error:
        raise RqError(
            f"{argv[0]}: cannot be run: {error.strerror}: name another by --editor or RQ_EDITOR"
        ) from error
    finally:
        if terminal is not None:
            os.close(terminal)
