"""The entry of ``rqpy``: finds the mode and runs it; every failure is one line and an exit status."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence

from rq_py import __version__

#: A completion script sets it (completion.VARIABLE, which is not imported: every start would pay for it).
_COMPLETING = "_RQPY_COMPLETE"


def main() -> None:
    """Run ``rqpy`` with the arguments of the process, and exit."""
    gc.set_threshold(100_000)  # looking for cycles among what was just imported takes 5 % of a submit
    status = run(sys.argv[1:])
    gc.freeze()  # and so does the interpreter when it ends, for another 8 %
    sys.exit(status)


def run(words: Sequence[str]) -> int:
    """Run ``rqpy`` with ``words`` and return the exit status."""
    _open_missing_descriptors()
    _write_utf8()
    try:
        status = _dispatch(words)
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk or a closed pipe must be noticed while it can be said
    except BaseException as error:  # noqa: BLE001
        if isinstance(error, KeyboardInterrupt):
            import signal

            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cut the report short
        from rq_py.cli.failure import report

        return report(error)
    return status


def _dispatch(words: Sequence[str]) -> int:
    """Run the mode that ``words`` name."""
    if _COMPLETING in os.environ:
        from rq_py.cli.completing import complete
        from rq_py.cli.printing import write

        write(complete(os.environ[_COMPLETING]))
        return 0
    if list(words) == ["--version"]:
        from rq_py.cli.printing import write

        write(f"rqpy {__version__}\n")
        return 0
    if not words:
        from rq_py.cli.help import overview

        sys.stderr.write(overview())
        return 2
    if words[0] in ("--help", "-h"):
        words = ["help", *words[1:]]
    from rq_py.cli.arguments import split
    from rq_py.cli.context import Context
    from rq_py.cli.group import Modes

    modes = Modes()
    invocation = split(words, modes.options_of)
    arguments = invocation.arguments
    if os.environ.get("RQ_OPTS") or os.environ.get("RQ_OPTIONS"):
        from rq_py.cli.extraoptions import with_extra_options

        arguments = with_extra_options(invocation, modes, os.environ)
    context = Context(invocation.mode, invocation.queue, os.environ)
    return modes.run(context, arguments)


def _open_missing_descriptors() -> None:
    """Open /dev/null where stdin, stdout or stderr is closed.

    Else the database would become, say, descriptor 2, and a message would be written into it
    (https://www.sqlite.org/howtocorrupt.html, section 2.1).
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _write_utf8() -> None:
    """Write UTF-8 whatever the locale says: YAML is, and what one command prints the next one reads."""
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors, newline="\n")
