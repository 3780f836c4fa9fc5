"""Listings of jobs as YAML, JSON and JSON lines; which fields a listing has. Streams, in constant memory.

The YAML is the shape of rq's listing, written by hand: it is some fifty times as fast as PyYAML's
own dumper, and ``rqpy submit`` needs no import for it. Tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import TextIO

from rq_py.errors import UsageError
from rq_py.formats import scalars
from rq_py.job import LISTED_FIELDS, Job

Value = str | int | float | bool | None | Mapping[str, str]

_TIMES = frozenset({"submitted", "started", "finished"})
_NUMBERS = {
    **dict.fromkeys(("jid", "priority", "pid", "exit_status", "signal", "attempt", "max_rss"), "%d"),
    **dict.fromkeys(("elapsed", "user_cpu", "system_cpu"), "%.6f"),
}
_PATHS = frozenset({"stdin", "stdout", "stderr", "data"})
#: Texts that many jobs have in common (a bulk submit or a claim gives all its jobs one time): how they are
#: written is remembered.
_SHARED = frozenset(
    {"state", "submitted", "started", "submitter", "runner", "required_runner", "reason", "tag", "cwd"}
)


def chosen_fields(names: Iterable[str]) -> tuple[str, ...]:
    """The fields named in ``names``, each a name or several with commas, in the order of a listing.

    Raises UsageError for a field that a listing does not have.
    """
    wanted = {name.strip() for text in names for name in text.split(",") if name.strip()}
    unknown = sorted(wanted.difference(LISTED_FIELDS))
    if unknown:
        raise UsageError(f"{unknown[0]}: no such field, there are {' '.join(LISTED_FIELDS)}")
    return tuple(name for name in LISTED_FIELDS if name in wanted)


def fields_of(job: Job, fields: Sequence[str] | None = None) -> dict[str, Value]:
    """The listed fields of ``job`` with their values, in the order of a listing.

    Without ``fields``, those that are set; with it, those named, also where one is not set. Streams and
    data are paths relative to the queue; ``stdout`` and ``stderr`` are there once the job has started.
    """
    if fields is None:
        return {name: value for name, get in _GETTERS.items() if _is_set(name, value := get(job))}
    return {name: _GETTERS[name](job) for name in LISTED_FIELDS if name in fields}


def _is_set(name: str, value: Value) -> bool:
    """Whether a listing shows the field unasked. A priority, exit status or time of 0 is a value."""
    return not (value is None or value is False or value == "" or (name == "attempt" and value == 0))


def _getter(name: str) -> Callable[[Job], Value]:
    """The function that reads field ``name`` of a job."""
    if name in ("stdin", "data"):
        has = itemgetter(Job._fields.index(f"has_{name}"))
        return lambda job: f"{name}/{job.jid}" if has(job) else None
    if name in ("stdout", "stderr"):
        return lambda job: f"{name}/{job.jid}" if job.started else None
    if name == "env":
        return _env
    if name == "state":
        return lambda job: str(job.state)  # a plain text, whoever writes it
    if name == "restartable":
        return lambda job: bool(job.restartable)
    get: Callable[[Job], Value] = itemgetter(Job._fields.index(name))
    return get


def _env(job: Job) -> Value:
    """The variables handed over at submit; the stored text itself should it not be a JSON object."""
    if not job.env or job.env == "{}":
        return None
    import json

    try:
        variables = json.loads(job.env)
        if isinstance(variables, dict):
            return {name: str(value) for name, value in variables.items()}
    except (ValueError, RecursionError):  # the latter for what is nested by the thousand
        pass
    return job.env


_GETTERS: dict[str, Callable[[Job], Value]] = {name: _getter(name) for name in LISTED_FIELDS}


class _Notation:
    """How a format writes one field: the text around it and the text of each kind of value.

    ``head`` holds one %s for the name of the field.
    """

    def __init__(
        self,
        head: str,
        tail: str,
        text: Callable[[str], str],
        time: Callable[[str], str],
        mapping: Callable[[Mapping[str, str]], str],
    ) -> None:
        self.head = head
        self.tail = tail
        self.text = text
        self.time = time
        self.mapping = mapping


def _writer(name: str, notation: _Notation) -> Callable[[Job], str]:
    """The function that writes field ``name`` of a job, or '' when it is not set.

    One small function per field, chosen beforehand: that is what makes a listing fast.
    """
    get, head, tail = _GETTERS[name], notation.head % name, notation.tail
    if name == "attempt":
        return lambda job: f"{head}{job.attempt}{tail}" if job.attempt else ""
    if name in _NUMBERS:
        number = f"{head}{_NUMBERS[name]}{tail}"
        return lambda job: "" if (value := get(job)) is None else number % value
    if name == "restartable":
        return lambda job: f"{head}true{tail}" if job.restartable else ""
    if name == "env":
        bare = head.rstrip(" ")  # no space before the lines of a nested mapping
        return lambda job: f"{bare}{_written(value, notation)}{tail}" if (value := _env(job)) else ""
    if name in _PATHS:
        # Such a path needs no look at its characters: one template serves all jobs.
        path = f"{head}{notation.text(f'{name}/%d')}{tail}"
        return lambda job: path % job.jid if get(job) else ""
    write: Callable[..., str] = notation.time if name in _TIMES else notation.text
    if name in _SHARED:
        write = lru_cache(maxsize=512)(write)
    return lambda job: f"{head}{write(value)}{tail}" if (value := get(job)) else ""


def _written(value: Value, notation: _Notation) -> str:
    """Write the value of env, or of a field that is not set, with what separates it from its name."""
    if isinstance(value, Mapping):
        return notation.mapping(value)
    return " " + (notation.text(value) if isinstance(value, str) else scalars.scalar(value))


def _items(jobs: Iterable[Job], fields: Sequence[str] | None, notation: _Notation) -> Iterator[str]:
    """The text of all fields of each job."""
    writers = _writers(None if fields is None else tuple(fields), notation)
    for job in jobs:
        yield "".join([write(job) for write in writers])


@lru_cache(maxsize=8)
def _writers(fields: tuple[str, ...] | None, notation: _Notation) -> list[Callable[[Job], str]]:
    """The writers of all fields that are set, or of ``fields``; a feeder needs them again for each job."""
    if fields is None:
        return [_writer(name, notation) for name in LISTED_FIELDS]
    return [_always(name, notation) for name in LISTED_FIELDS if name in fields]


def _always(name: str, notation: _Notation) -> Callable[[Job], str]:
    """Like ``_writer``, but a field that is not set is written as well."""
    write, get, head = _writer(name, notation), _GETTERS[name], (notation.head % name).rstrip(" ")
    return lambda job: write(job) or f"{head}{_written(get(job), notation)}{notation.tail}"


def _yaml_mapping(value: Mapping[str, str]) -> str:
    """A mapping nested in a job."""
    entries = ((scalars.key(name).replace("\n", "\n    "), text) for name, text in value.items())
    return "".join(f"\n    {written} {scalars.text(text)}" for written, text in entries)


_YAML = _Notation("  %s: ", "\n", scalars.text, scalars.time, _yaml_mapping)


def yaml_items(jobs: Iterable[Job], fields: Sequence[str] | None = None) -> Iterator[str]:
    """The YAML text of each job: one item of a list, with its final newline."""
    for text in _items(jobs, fields, _YAML):
        yield f"-\n{text}" if text else "- {}\n"


def _json_mapping(value: Mapping[str, str]) -> str:
    """A JSON object nested in a job."""
    import json

    return " " + json.dumps(dict(value))


def json_items(jobs: Iterable[Job], fields: Sequence[str] | None = None) -> Iterator[str]:
    """The JSON object of each job, in ASCII, so that no terminal or reader trips over a character."""
    from json.encoder import encode_basestring_ascii as quote

    for text in _items(jobs, fields, _Notation('"%s": ', ", ", quote, quote, _json_mapping)):
        yield f"{{{text[:-2]}}}"


def write_yaml(jobs: Iterable[Job], out: TextIO, fields: Sequence[str] | None = None) -> int:
    """Write the jobs as one YAML list, ``--- []`` when there is none; return how many there were."""
    return _write(yaml_items(jobs, fields), out, ("---\n", "", ""), "--- []\n")


def write_json(jobs: Iterable[Job], out: TextIO, fields: Sequence[str] | None = None) -> int:
    """Write the jobs as one JSON list, one line per job; return how many there were."""
    return _write(json_items(jobs, fields), out, ("[\n", ",\n", "\n]\n"), "[]\n")


def write_jsonl(jobs: Iterable[Job], out: TextIO, fields: Sequence[str] | None = None) -> int:
    """Write one JSON object per line and job; return how many there were."""
    return _write(json_items(jobs, fields), out, ("", "\n", "\n"), "")


def _write(items: Iterator[str], out: TextIO, around: tuple[str, str, str], none: str) -> int:
    """Write ``items`` with the text before, between and after them, or ``none``; return their number."""
    before, between, after = around
    count = 0
    for item in items:
        out.write((between if count else before) + item)
        count += 1
    out.write(after if count else none)
    return count
