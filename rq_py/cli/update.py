"""``rqpy update``: changes jobs that wait."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import click

from rq_py.cli.changes import report, require_jobs
from rq_py.cli.context import Context
from rq_py.cli.joboptions import quiet_option, stdin_source
from rq_py.cli.output import chosen_fields, listing_options
from rq_py.cli.selectors import read_selection
from rq_py.errors import UsageError
from rq_py.formats.excerpt import shown as excerpt
from rq_py.job import State

if TYPE_CHECKING:
    from rq_py.editing.changes import Changes

_ASSIGNMENT = re.compile(r"([A-Za-z_]+)=(.*)", re.DOTALL)
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}

_EXAMPLES = """\b
Examples:
  $ rqpy q update 42 priority=7 tag=
  $ rqpy q query tag=disk_filler | rqpy q update state=holding -
"""


@click.command(epilog=_EXAMPLES)
@click.argument("words", nargs=-1, metavar="[STATE|JID|-]... KEY=VALUE...")
@quiet_option
@listing_options
@click.pass_obj
def command(context: Context, words: Sequence[str], quiet: bool, output: str, fields: Sequence[str]) -> int:
    """Change jobs that are pending or holding, and print them.

    KEY is priority, command, tag, runner (the only node that may run them), restartable (true or false), cwd,
    stdin (a file, or - for this one's stdin), data (a file or directory), key, not_before, expires, retries,
    backoff, after and collect (as submit's options), timeout (submit's --job-timeout), or state: holding
    keeps a job from running, pending lets it. An empty value unsets tag, runner, stdin, data, key, after, and
    times and durations.

    For -, and where no job is named, stdin names the jobs: a listing, of which the jids count, or one jid per
    line. All are changed at once. The exit status is 1 when a job is named that is neither pending nor
    holding (the others are changed), and when what is named does not exist.
    """
    shown = chosen_fields(fields)
    assignments = {match[1]: match[2] for word in words if (match := _ASSIGNMENT.fullmatch(word))}
    selectors = [word for word in words if not _ASSIGNMENT.fullmatch(word)]
    if len(assignments) + len(selectors) < len(words):
        raise UsageError("a KEY is given twice")
    if not assignments:
        raise UsageError("say what to change, as KEY=VALUE")
    takes_stdin = assignments.get("stdin") == "-"
    if takes_stdin and "-" in selectors:
        raise UsageError("stdin cannot be both the jobs and what they read")
    changes = parse_changes(assignments)
    selection = read_selection(selectors, implied_stdin=not takes_stdin)
    require_jobs(selection)
    edited = context.queue().update(*selection.wanted, keep_rows=not quiet, **changes)
    return report(edited, selection, "updated", output, shown, quiet)


def parse_changes(assignments: Mapping[str, str]) -> Changes:
    """The changes that ``KEY=VALUE`` words ask for. Raises UsageError."""
    changes: dict[str, Any] = {}
    for key, text in assignments.items():
        parse = _PARSERS.get(key)
        if parse is None:
            raise UsageError(f"{excerpt(key)}: cannot be updated, there are {' '.join(_PARSERS)}")
        try:
            changes[key] = parse(text)
        except (KeyError, ValueError):
            raise UsageError(f"{key}={excerpt(text)}: is not {_KINDS[key]}") from None
    return cast("Changes", changes)


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "priority": int,
    "command": str,
    "tag": lambda text: text or None,
    "key": lambda text: text or None,
    "runner": lambda text: text or None,
    "restartable": _TRUTH.__getitem__,
    "after": lambda text: text or None,
    "collect": _TRUTH.__getitem__,
    "cwd": lambda text: os.path.abspath(_filled(text)),
    "stdin": stdin_source,
    "data": lambda text: text or None,
    "not_before": lambda text: text or None,
    "expires": lambda text: text or None,
    "timeout": lambda text: text or None,
    "retries": int,
    "backoff": lambda text: text or None,
    "state": lambda text: {state: state for state in (State.PENDING, State.HOLDING)}[State(text)],
}

_KINDS = {
    "priority": "a whole number",
    "retries": "a whole number",
    "restartable": "true or false",
    "collect": "true or false",
    "cwd": "a directory",
    "state": "pending or holding",
}


def _filled(text: str) -> str:
    """``text``. Raises ValueError where it is empty."""
    if not text:
        raise ValueError
    return text
