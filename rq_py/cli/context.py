"""What every mode is given: the queue that was named, opened at its first use, and the shared options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rq_py.cli.logoptions import LOG_OPTIONS
from rq_py.cli.modes import MODES
from rq_py.cli.printing import print_line, write
from rq_py.errors import NotAQueue, UsageError

if TYPE_CHECKING:
    from rq_py.queue import Queue

#: The environment variables that name a queue, as in rq; the first that is set and not empty counts.
QUEUE_VARIABLES = ("RQ_Q", "RQ_QUEUE")


class Context:
    """The ``obj`` of the click context.

    ``mode`` is the name of the mode, ``named`` the queue as the user named it, None where nobody did.
    ``timeout`` is how long to wait for the queue lock, in seconds; None is for ever. ``quiet`` says whether
    only errors are said, and ``log_options`` holds those of LOG_OPTIONS that were given, for this process.
    """

    def __init__(self, mode: str, queue: str | None, environ: Mapping[str, str]) -> None:
        self.mode = mode
        self.timeout: float | None = None
        self.quiet = False
        self.log_options: dict[str, Any] = {}
        self._folder: str | None = None  # where a snapshot is made to read from
        self._argument = queue
        variables = (environ.get(name) for name in QUEUE_VARIABLES)
        self.named = queue or next((value for value in variables if value), None)
        self._queue: Queue | None = None

    def name_queue(self, path: str) -> None:
        """Take the queue that an option names. Raises UsageError where the first argument names another."""
        if self._argument is not None and self._argument != path:
            raise UsageError(f"two queues are named: {self._argument} and, by --queue, {path}")
        self.named = path

    @property
    def queue_path(self) -> Path:
        """The directory of the queue: as it was named, or the user's own."""
        if self.named is not None:
            return Path(self.named)
        from rq_py.defaultqueue import default_queue_path

        return default_queue_path()

    def queue(self) -> Queue:
        """Open the queue, at the first call; the user's own is made where the mode makes it.

        Raises NotAQueue, FormatTooNew, StorageError.
        """
        if self._queue is None:
            self._queue = self._open()
            self._queue.store.notify = _warn
            if self._folder is not None:
                self._queue = _as_of_now(self._queue, Path(self._folder, "snapshot"))
        return self._queue

    @property
    def lock_wait(self) -> float:
        """Seconds that were spent waiting for the queue lock so far."""
        return 0.0 if self._queue is None else self._queue.store.lock_wait

    def read_snapshot(self, folder: str) -> None:
        """Let the jobs come from a snapshot, which is made in ``folder`` when the queue is opened."""
        self._folder = folder

    def _open(self) -> Queue:
        from rq_py.queue import Queue

        if self.named is not None:
            return Queue(self.named, timeout=self.timeout)
        from rq_py.defaultqueue import open_default

        if MODES[self.mode].makes_default_queue:
            return open_default(timeout=self.timeout)
        path = self.queue_path
        if not path.exists():
            raise NotAQueue(
                f"no queue is named and you have none of your own yet ({path}): say rqpy QUEUE {self.mode}, "
                "or set RQ_Q"
            )
        return Queue(path, timeout=self.timeout)


def _warn(line: str) -> None:
    """Say what the store tells of rare events."""
    print_line(line, "warn")


def _as_of_now(queue: Queue, snapshot: Path) -> Queue:
    """The queue with its jobs as they are now, read from a new ``snapshot``; its streams are its own."""
    import copy

    seen = copy.copy(queue)
    seen.store = queue.snapshot(snapshot).store
    seen.store.notify, seen.store.lock_wait = queue.store.notify, queue.store.lock_wait
    return seen


#: The modes that only read, and so have the option ``--snapshot``.
READING_MODES = frozenset(
    ("list", "status", "query", "stdin", "stdout", "stderr", "stdin4", "stdout4", "stderr4", "ioview")
)


def snapshot_option() -> click.Parameter:
    """The option of the modes that only read."""
    return click.Option(
        ["--snapshot", "-s", "snapshot_option"],
        is_flag=True,
        expose_value=False,
        callback=_take_snapshot,
        help="Copy the database first and read the copy, which is removed then.",
    )


def shared_options() -> list[click.Parameter]:
    """The options that every mode has; they act on the context, and no mode sees them.

    A mode that gives one of them a meaning of its own declares it itself, and gets its value.
    """
    return [
        click.Option(
            ["--queue", "-Q", "queue_option"],
            metavar="PATH",
            expose_value=False,
            is_eager=True,
            callback=_take_queue,
            help="The queue, where it is not the first argument.",
        ),
        click.Option(
            ["--timeout", "timeout_option"],
            type=click.FloatRange(min=0),
            metavar="SECONDS",
            expose_value=False,
            callback=_take_timeout,
            help="How long to wait for the queue lock (exit status 75 then); for ever unless given.",
        ),
        click.Option(
            ["--quiet", "-q", "quiet_option"],
            is_flag=True,
            expose_value=False,
            callback=_take_quiet,
            help="Say nothing but errors on stderr.",
        ),
        *(
            click.Option(
                [*words, f"{name}_option"], expose_value=False, callback=_take_log_option, **declared
            )
            for name, (words, declared) in LOG_OPTIONS.items()
        ),
        click.Option(  # click's own looks for translations: with the module locale that is 2 % of a submit
            ["--help", "-h", "help_option"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_show_help,
            help="Show this message and exit.",
        ),
    ]


def _show_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        write(ctx.get_help() + "\n")
        ctx.exit()


def _take_queue(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        if not value:
            raise UsageError("--queue: the path is empty")
        ctx.obj.name_queue(value)


def _take_timeout(ctx: click.Context, _: click.Parameter, value: float | None) -> None:
    if value is not None:
        ctx.obj.timeout = value


def _take_quiet(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.obj.quiet = True


def _take_log_option(ctx: click.Context, option: click.Parameter, value: object) -> None:
    if value is not None:
        ctx.obj.log_options[str(option.name).removesuffix("_option")] = value


def _take_snapshot(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        import tempfile

        folder = tempfile.TemporaryDirectory(prefix="rqpy-", ignore_cleanup_errors=True)
        ctx.call_on_close(folder.cleanup)
        ctx.obj.read_snapshot(folder.name)
