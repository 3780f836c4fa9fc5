"""Whether a row that a user's SQL made is a job that the rest of rqpy can list, claim and run."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

from rq_py.clock import seconds_of
from rq_py.errors import InputError
from rq_py.formats.excerpt import shown
from rq_py.formats.jobspec import spec_from_mapping
from rq_py.formats.moments import LONGEST
from rq_py.human import HUMAN
from rq_py.job import Job

# The range of each part is checked too: these are parsed when ages are computed.
_TIME = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]) "
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{6})?Z"
)


def problem_of(job: Job) -> str | None:
    """What is wrong with the values of ``job``, straight from its row, in one line; None if nothing is."""
    name = _mistyped(job)
    if name is not None:
        return f"job {shown(job.jid)}: {name}: {shown(getattr(job, name))} is not what the field holds"
    try:
        env = json.loads(job.env) if job.env else None
    except (ValueError, RecursionError):
        return f"job {job.jid}: env: {shown(job.env)} is not a JSON object"
    try:
        spec_from_mapping(
            {
                "command": job.command,
                "priority": job.priority,
                "tag": job.tag,
                "key": job.key,
                "required_runner": job.required_runner,
                "cwd": job.cwd,
                "env": env,
            },
            f"job {job.jid}",
        )
    except InputError as error:
        return str(error)
    return None


def _mistyped(job: Job) -> str | None:
    """The first field whose value is of another type, or out of range; the state is checked by the schema."""
    for name, is_sound in _CHECKS.items():
        if not is_sound(getattr(job, name)):
            return name
    return None


def _is_whole(value: object) -> bool:
    return isinstance(value, int)


def _is_flag(value: object) -> bool:
    return value in (0, 1)


def _is_seconds(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _is_duration(value: object) -> bool:
    return isinstance(value, float) and 0 <= value <= LONGEST


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_time(value: object) -> bool:
    """Whether it is a time, and one that there is: not the 31st of February."""
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        return False
    try:
        seconds_of(value)
    except ValueError:
        return False
    return True


def _is_moment(value: object) -> bool:
    """Whether it is a time as feeders compare it with theirs: with microseconds."""
    return _is_time(value) and "." in str(value)


def _or_unset(check: Callable[[object], bool]) -> Callable[[object], bool]:
    """``check``, or not set."""
    return lambda value: value is None or check(value)


_CHECKS: dict[str, Callable[[object], bool]] = {
    "jid": lambda value: isinstance(value, int) and value > 0,
    **dict.fromkeys(("priority", "attempt"), _is_whole),
    **dict.fromkeys(("pid", "exit_status", "signal", "max_rss"), _or_unset(_is_whole)),
    **dict.fromkeys(("has_stdin", "has_data", "restartable", "collect"), _is_flag),
    **dict.fromkeys(("elapsed", "user_cpu", "system_cpu"), _or_unset(_is_seconds)),
    **dict.fromkeys(("submitter", "token"), _is_text),
    **dict.fromkeys(("runner", "reason", "feeder"), _or_unset(_is_text)),
    "retries": lambda value: isinstance(value, int) and value >= 0,
    **dict.fromkeys(("timeout", "backoff"), _or_unset(_is_duration)),
    "kind": lambda value: value in (None, HUMAN),
    **dict.fromkeys(("completed_by", "note"), _or_unset(_is_text)),
    "key": lambda value: value != "",  # or it would be one, and no listing would show it
    "submitted": _is_time,
    **dict.fromkeys(("started", "finished"), _or_unset(_is_time)),
    **dict.fromkeys(("not_before", "expires"), _or_unset(_is_moment)),
}
