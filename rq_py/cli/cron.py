"""``rqpy cron``: keeps this node's feeder running, by the user's crontab or by a systemd user unit."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rq_py.cli.context import Context
from rq_py.cli.feedoptions import called_as, feed_options, given
from rq_py.cli.output import write_document
from rq_py.cli.printing import write
from rq_py.errors import FeederRunning, NoFeeder, UsageError

if TYPE_CHECKING:
    from rq_py.queue import Queue

ACTIONS = ("start", "stop", "shutdown", "add", "delete", "tab")
_ADDING = ("start", "add")

#: When a crontab looks whether there is a feeder. A look that finds one costs a tenth of a second.
EVERY_MINUTE = "* * * * *"
#: When it rotates, as in rq's README.
BEFORE_MIDNIGHT = "59 23 * * *"


@click.command(epilog="\b\nExample:\n  $ rqpy q cron start --max-feed 2 --rotate")
@click.argument("action", type=click.Choice(ACTIONS), metavar="start|stop|shutdown|add|delete|tab")
@click.argument("hard", type=click.Choice(["hard"]), required=False, metavar="[hard]")
@click.option("--schedule", metavar="FIELDS", help=f"When to look for the feeder. ['{EVERY_MINUTE}']")
@click.option("--rotate", is_flag=True, help=f"Also rotate the queue each day: '{BEFORE_MIDNIGHT}'.")
@click.option("--systemd", is_flag=True, help="Use a systemd user unit instead of the crontab.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing.")
@feed_options
@click.pass_obj
def command(
    context: Context,
    /,
    *,
    action: str,
    hard: str | None,
    schedule: str | None,
    rotate: bool,
    systemd: bool,
    quiet: bool,
    **values: Any,
) -> None:
    """Keep a feeder running on this node, across reboots too, by a line in your crontab.

    start adds the line and starts the feeder; shutdown takes it out and lets the feeder finish its jobs; stop
    takes it out and ends the feeder and its jobs now (stop hard is the same, as in rq). add and delete only
    change the crontab, tab prints the lines of this queue. All of it can be said again without harm, and no
    line but those that end in the mark # rqpy and the queue's uuid is touched. start and add take the options
    of a feeder; what is not given is not in the line.

    With --systemd it is a user unit, ~/.config/systemd/user/rqpy-UUID.service, that is enabled and disabled.
    For one that starts at boot, let root say once: loginctl enable-linger YOU.
    """
    if hard and action != "stop":
        raise UsageError(f"cron {action} hard: only stop can be hard")
    queue = context.queue()
    options = given(values)
    if action not in _ADDING and (options or schedule or rotate):
        raise UsageError(f"cron {action}: takes no options of a feeder, only start and add do")
    if systemd:
        if schedule or rotate:
            raise UsageError("--schedule and --rotate are the crontab's: leave --systemd out, or them")
        _by_systemd(queue, action, options, quiet)
        return
    _by_crontab(queue, action, options, schedule=schedule or EVERY_MINUTE, rotate=rotate, quiet=quiet)


def _by_crontab(
    queue: Queue, action: str, options: Mapping[str, Any], *, schedule: str, rotate: bool, quiet: bool
) -> None:
    from rq_py.cli.crontab import Crontab, checked_schedule, line

    mark = f"rqpy {queue.settings.uuid}"
    crontab = Crontab(mark)
    if action == "tab":
        write("".join(f"{own}\n" for own in crontab.own))
        return
    lines = []
    if action in _ADDING:
        start = [*_program(), str(queue.path), "start", "--quiet", *_as_words(options)]
        lines.append(line(checked_schedule(schedule), _with_node(shlex.join(start)), mark))
        if rotate:
            words = shlex.join([*_program(), str(queue.path), "rotate", "--quiet"])
            lines.append(line(BEFORE_MIDNIGHT, _with_node(words), f"{mark} rotate"))
    crontab.set_own(lines)
    document: dict[str, object] = {"crontab": lines}
    if action == "start":
        document["pid"] = _start(queue, options)
    elif action in ("stop", "shutdown"):
        _end(queue, action)
    if not quiet:
        write_document(document)


def _by_systemd(queue: Queue, action: str, options: Mapping[str, Any], quiet: bool) -> None:
    from rq_py.cli.userunit import UserUnit

    unit = UserUnit(queue.settings.uuid, os.environ)
    if action == "tab":
        write(unit.path.read_text(encoding="utf-8") if unit.path.exists() else "")
        return
    if action in _ADDING:
        words = [*_program(), str(queue.path), "feed", "--quiet", *_as_words(options)]
        unit.write(queue.path, words, _node())
        unit.systemctl("enable", *(["--now"] if action == "start" else []), needed=action == "start")
    elif unit.path.exists():
        # No --now without --no-block: it would wait until the last job has ended.
        unit.systemctl("disable", *(["--now", "--no-block"] if action != "delete" else []))
        unit.remove()
    if action in ("stop", "shutdown"):
        _end(queue, action)
    if not quiet:
        write_document({"unit": str(unit.path)})


def _start(queue: Queue, options: Mapping[str, Any]) -> int:
    """Start the feeder, and return its pid; or that of the one that runs already."""
    from rq_py.feeder import control, daemon, program
    from rq_py.feeder.options import FeedOptions

    try:
        return daemon.start(
            FeedOptions(
                queue=str(queue.path),
                program=program.find(called_as()),
                timeout=queue.store.timeout,
                **options,
            )
        )
    except FeederRunning:
        return control.the_feeder(queue.local_state).pid


def _end(queue: Queue, word: str) -> None:
    """Tell the feeder to end, where there is one; a stop is waited for, as the mode stop does."""
    from rq_py.errors import FeederError
    from rq_py.feeder import control

    try:
        who = control.request(queue.local_state, word)
    except NoFeeder:
        return
    if word == "stop" and not control.wait_until_gone(who, control.stop_patience(who, None)):
        raise FeederError(f"the feeder (pid {who.pid}) is not gone yet: see its log {who.log}")


def _program() -> list[str]:
    """How cron and systemd call this rqpy."""
    from rq_py.feeder import program

    found = program.find(called_as())
    return [found] if found else [sys.executable, "-P", "-m", "rq_py"]


def _node() -> dict[str, str]:
    """The name that this node was given, for an environment that has none of the user's own variables."""
    name = os.environ.get("RQ_NODE")
    return {"RQ_NODE": name} if name else {}


def _with_node(words: str) -> str:
    """A command of the shell, with the name that this node was given."""
    return "".join(f"{name}={shlex.quote(value)} " for name, value in _node().items()) + words


def _as_words(options: Mapping[str, Any]) -> list[str]:
    """The options of a feeder as words of a command line; a path is made absolute."""
    words = []
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        else:
            words += [option, str(Path(value).absolute()) if name == "log" else str(value)]
    return words
