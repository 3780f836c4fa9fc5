"""What delete, update, resubmit and touch share: the changes that are asked for, and their result."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rq_py.cli.joboptions import stdin_source
from rq_py.cli.output import write_jobs
from rq_py.cli.overrides import variables
from rq_py.cli.printing import note, print_line
from rq_py.errors import UsageError
from rq_py.job import State

if TYPE_CHECKING:
    from rq_py.cli.selectors import Selection
    from rq_py.editing.changes import TouchChanges
    from rq_py.editing.edits import Edited
    from rq_py.spool import Spool

#: How many jobs of one kind are told, each in a line of its own.
_TOLD = 20


def touch_changes(
    *,
    priority: int | None,
    runner: str | None,
    restartable: bool | None,
    stage: bool,
    stdin: str | None,
    data: str | None,
    cwd: str | None,
    env: Sequence[str],
    env_all: bool,
    after: Sequence[str],
    collect: bool | None,
    key: str | None,
    **timing: Any,
) -> TouchChanges:
    """The changes that the options ask for; what was not given is not among them. Raises UsageError."""
    changes: TouchChanges = {}
    if priority is not None:
        changes["priority"] = priority
    if runner is not None:
        changes["runner"] = runner or None
    if restartable is not None:
        changes["restartable"] = restartable
    if stage:
        changes["state"] = State.HOLDING
    if stdin is not None:
        changes["stdin"] = stdin_source(stdin)
    if data is not None:
        changes["data"] = data or None
    changes.update(_timing(**timing))
    if cwd is not None:
        changes["cwd"] = os.path.abspath(cwd)
    if env or env_all:
        changes["env"] = variables(env, env_all, os.environ)
    if after:
        changes["after"] = after
    if collect is not None:
        changes["collect"] = collect
    if key is not None:
        changes["key"] = key or None
    return changes


def _timing(
    *,
    not_before: str | None,
    expires: str | None,
    job_timeout: str | None,
    retries: int | None,
    backoff: str | None,
) -> TouchChanges:
    """The changes of times and retries; an empty one is unset."""
    changes: TouchChanges = {}
    if not_before is not None:
        changes["not_before"] = not_before or None
    if expires is not None:
        changes["expires"] = expires or None
    if job_timeout is not None:
        changes["timeout"] = job_timeout or None
    if retries is not None:
        changes["retries"] = retries
    if backoff is not None:
        changes["backoff"] = backoff or None
    return changes


def require_jobs(selection: Selection) -> None:
    """Raise UsageError where nothing was named, not even by stdin."""
    if selection.wanted == ():
        raise UsageError("name the jobs: states, jids, all, or - for a listing on stdin")


def report(  # noqa: PLR0917
    edited: Edited,
    selection: Selection,
    verb: str,
    output: str,
    fields: Sequence[str] | None,
    quiet: bool,
) -> int:
    """Print the jobs that were changed, say which named ones were not and why; returns the exit status."""
    note(f"{edited.count} jobs were {verb}")
    if not quiet:
        write_jobs(edited, output, fields)
    if selection.is_nothing:
        print_line("stdin names no jobs")
    _tell(edited.refused, lambda row: f"job {row[0]} is {row[1]}: not {verb}")
    _tell(edited.missing, lambda row: f"no job {row[0]}")
    for state in edited.unmatched:
        print_line(f"no {state} job")
    if edited.leftover:
        print_line(f"the jobs are deleted, but some of their files are not yet: {edited.leftover}", "warn")
    is_complete = not (len(edited.refused) or len(edited.missing) or edited.unmatched or selection.is_nothing)
    return 0 if is_complete else 1


def _tell(rows: Spool, line: Callable[[Sequence[object]], str]) -> None:
    """Say ``line`` of the first rows, and how many more there are."""
    for number, row in enumerate(rows):
        if number == _TOLD:
            print_line(f"... and {len(rows) - _TOLD} jobs more")
            return
        print_line(line(row))
