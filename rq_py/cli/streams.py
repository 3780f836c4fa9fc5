"""What the modes ``stdin``, ``stdout`` and ``stderr`` share: they copy that stream of jobs to stdout."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from rq_py.cli.context import Context
from rq_py.cli.printing import print_line, stdout
from rq_py.cli.selectors import selector
from rq_py.errors import NotFound, StorageError, UsageError
from rq_py.formats.excerpt import shown

_CHUNK_BYTES = 1024 * 1024


def stream_command(name: str, purpose: str) -> click.Command:
    """The command that prints the stream ``name`` of jobs; ``purpose`` is the first sentence of its help."""
    text = f"""{purpose}

    The bytes are copied as they are, one job's after the other's. A job that does not have the stream (yet)
    is named on stderr, and the exit status is 1.
    """

    @click.command(name, help=text, epilog=f"\b\nExample:\n  $ rqpy q {name} 1")
    @click.argument("jids", nargs=-1, required=True, metavar="JID...")
    @click.option("--path", "only_path", is_flag=True, help="Print the path of the file instead.")
    @click.pass_obj
    def command(context: Context, jids: Sequence[str], only_path: bool) -> int:
        numbers = [_jid(word) for word in jids]
        queue = context.queue()
        missing = False
        for jid in numbers:
            try:
                path = queue.stream(jid, name)
            except NotFound as error:
                print_line(str(error))
                missing = True
                continue
            if only_path:
                stdout().write(f"{path}\n")
            else:
                _copy(path)
        return 1 if missing else 0

    return command


def _jid(word: str) -> int:
    """The jid in ``word``. Raises UsageError."""
    jid = selector(word)
    if not isinstance(jid, int):
        raise UsageError(f"{shown(word)}: is not a jid")
    return jid


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
