"""``rqpy lock``: runs a command under the queue lock."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import click

from rq_py.cli.context import Context
from rq_py.cli.printing import print_line
from rq_py.errors import UsageError

#: rq's words for the two kinds, any of which may be shortened.
_WRITING = {"read": False, "shared": False, "write": True, "exclusive": True}
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
#: What Python ignores and a command should not (signal(7): what is ignored stays so in a new program).
_DEFAULTS = (signal.SIGPIPE, signal.SIGXFSZ)


@click.command(epilog="\b\nExample:\n  $ rqpy /tmp/q lock read -- cp -r /tmp/q /tmp/q.bak")
@click.argument("kind", metavar="read|write|shared|exclusive")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_obj
def command(context: Context, kind: str, words: Sequence[str]) -> int:
    """Run a command under the queue lock, and exit as it does; 128 and the signal's number after a signal.

    One word is given to sh, several are run as they are. Both kinds keep everybody else out; write needs
    permission to write. All feeders wait meanwhile, so be quick. rqpy on the same queue inside of COMMAND
    would wait for ever. Should this process be stopped (Ctrl-Z) for longer than lock_lease, others go on
    without the lock; that is said, and the exit status is 1.
    """
    writing = _is_writing(kind)
    with context.queue().hold(writing=writing):
        return _run(["/bin/sh", "-c", words[0]] if len(words) == 1 else list(words))


def _is_writing(kind: str) -> bool:
    """Whether a word means the lock for writing. Raises UsageError."""
    for word, writing in _WRITING.items():
        if kind and word.startswith(kind):
            return writing
    raise UsageError(f"{kind}: is none of {' '.join(_WRITING)}, nor the beginning of one")


def _run(words: list[str]) -> int:
    """Run a command and return its exit status as a shell would put it.

    By posix_spawn, which forks nothing of ours; every descriptor of ours is closed in the command (PEP 446).
    """
    try:
        pid = os.posix_spawnp(words[0], words, os.environ, setsigmask=(), setsigdef=_DEFAULTS)
    except FileNotFoundError:
        print_line(f"{words[0]}: no such command")
        return 127
    except OSError as error:
        print_line(f"{words[0]}: {error.strerror}")
        return 126
    with _signals_passed_on(pid):
        while True:
            _, status = os.waitpid(pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                break
            # Ctrl-Z: the shell goes on only when this process is stopped, too; fg continues both.
            os.kill(os.getpid(), signal.SIGSTOP)
    ended = os.waitstatus_to_exitcode(status)
    return ended if ended >= 0 else 128 - ended


@contextmanager
def _signals_passed_on(pid: int) -> Iterator[None]:
    """Give the command the signals that are meant to end it; this process waits for its end."""

    def pass_on(signum: int, _frame: FrameType | None) -> None:
        # The terminal sends Ctrl-C to the command as well, and twice would be once too often.
        if signum not in (signal.SIGINT, signal.SIGQUIT) or not _is_in_foreground():
            with suppress(ProcessLookupError):
                os.kill(pid, signum)

    # What is ignored here, as under nohup, stays so.
    wanted = [signum for signum in _PASSED_ON if signal.getsignal(signum) is not signal.SIG_IGN]
    before = {signum: signal.signal(signum, pass_on) for signum in wanted}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _is_in_foreground() -> bool:
    """Whether this process has a terminal whose keys send it signals."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
