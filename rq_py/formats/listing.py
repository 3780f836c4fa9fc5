"""Listings of jobs as YAML, JSON and JSON lines; which fields a listing has. Streams, in constant memory.

The YAML is the shape of rq's listing, written by hand: it is some fifty times as fast as PyYAML's
own dumper, and ``rqpy submit`` needs no import for it. Tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, NamedTuple, TextIO

from rq_py.errors import UsageError
from rq_py.formats import afters, scalars
from rq_py.formats.attempts import Attempt, attempts_of, yaml_of
from rq_py.job import LISTED_FIELDS, Job

#: What is written on lines of its own.
Nested = Mapping[str, str] | list[Attempt] | list[int | str]
Value = str | int | float | bool | None | Nested

_TIMES = frozenset({"submitted", "started", "finished", "not_before", "expires"})
_NUMBERS = {
    **dict.fromkeys(("jid", "priority", "pid", "exit_status", "signal", "max_rss"), "%d"),
    **dict.fromkeys(("elapsed", "user_cpu", "system_cpu", "timeout", "backoff"), "%.6f"),
}
#: Numbers of which a listing shows no 0.
_COUNTS = frozenset({"attempt", "retries"})
#: Which column says whether a job has the path: one that has started has a stdout and a stderr.
_PATHS = {"stdin": "has_stdin", "stdout": "started", "stderr": "started", "data": "has_data"}
#: The columns that are true or false.
_FLAGS = ("has_stdin", "has_data", "restartable", "collect")
_flags_of = itemgetter(*map(Job._fields.index, _FLAGS))
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
    return not (value is None or value is False or value == "" or (name in _COUNTS and value == 0))


def _getter(name: str) -> Callable[[Job], Value]:
    """The function that reads field ``name`` of a job."""
    if name in _PATHS:
        is_there = _column(_PATHS[name])
        return lambda job: f"{name}/{job.jid}" if is_there(job) else None
    if name in _NESTED:
        read, text = _NESTED[name], _column(name)
        return lambda job: read(text(job))
    if name == "state":
        return lambda job: str(job.state)  # a plain text, whoever writes it
    if name in _FLAGS:
        is_set = _column(name)
        return lambda job: bool(is_set(job))
    return _column(name)


def _column(name: str) -> Callable[[Job], Value]:
    """The function that reads column ``name`` of a job."""
    get: Callable[[Job], Value] = itemgetter(Job._fields.index(name))
    return get


def _env(text: str | None) -> Value:
    """The variables handed over at submit; the stored text itself should it not be a JSON object."""
    if not text or text == "{}":
        return None
    import json

    try:
        variables = json.loads(text)
        if isinstance(variables, dict):
            return {name: str(value) for name, value in variables.items()}
    except (ValueError, RecursionError):  # the latter for what is nested by the thousand
        pass
    return text


#: What reads the columns of the fields that are nested.
_NESTED: Mapping[str, Callable[[Any], Value]] = {
    "env": _env,
    "attempts": attempts_of,
    "after": afters.listed,
}
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
        nested: Callable[[Nested], str],
    ) -> None:
        self.head = head
        self.tail = tail
        self.text = text
        self.time = time
        self.nested = nested


def _items(jobs: Iterable[Job], fields: Sequence[str] | None, notation: _Notation) -> Iterator[str]:
    """The text of all fields of each job."""
    chosen = None if fields is None else tuple(fields)
    for job in jobs:
        shape = _shape((*map(type, job), *_flags_of(job)), chosen, notation)
        values = list(shape.read(job))
        for place, write in shape.writers:
            values[place] = write(values[place])
        yield shape.template % tuple(values)


class _Shape(NamedTuple):
    """How to write jobs in which the same fields are set: a template, and what is put into it."""

    template: str
    read: Callable[[Job], Sequence[object]]  #: the values for the template
    writers: list[tuple[int, Callable[..., str]]]  #: the places of those that are not put in as they are


@lru_cache(maxsize=512)
def _shape(key: tuple[object, ...], fields: tuple[str, ...] | None, notation: _Notation) -> _Shape:
    """The shape of a job, of which ``key`` has the type of each value, and the flags.

    Most jobs of a listing are of few shapes, so for each job only what differs within one is done: no look at
    what is not set, and no function for a number.
    """
    flags = dict(zip(_FLAGS, key[len(Job._fields) :], strict=True))
    template, columns, writers = "", list[int](), list[tuple[int, Callable[..., str]]]()
    for name in LISTED_FIELDS if fields is None else [name for name in LISTED_FIELDS if name in fields]:
        column = Job._fields.index(_PATHS.get(name, name))
        head, tail = notation.head % name, notation.tail
        unset = key[column] is type(None) or not flags.get(Job._fields[column], True)
        if unset and fields is not None:
            template += f"{head}{scalars.scalar(False if name in _FLAGS else None)}{tail}"
        elif unset:
            pass
        elif name in _FLAGS:
            template += f"{head}true{tail}"
        elif name in _PATHS:
            # Such a path needs no look at its characters.
            template += f"{head}{notation.text(f'{name}/%d')}{tail}"
            columns.append(Job._fields.index("jid"))
        elif name in _NUMBERS or (name in _COUNTS and fields is not None):
            template += f"{head}{_NUMBERS.get(name, '%d')}{tail}"
            columns.append(column)
        else:
            template += "%s"
            writers.append((len(columns), _writer(name, notation, is_shown=fields is not None)))
            columns.append(column)
    return _Shape(template, _reader(columns), writers)


def _reader(columns: Sequence[int]) -> Callable[[Job], Sequence[object]]:
    """The function that reads these columns of a job."""
    if len(columns) > 1:
        return itemgetter(*columns)
    return lambda job: [job[column] for column in columns]


def _writer(name: str, notation: _Notation, *, is_shown: bool) -> Callable[..., str]:
    """The function that writes field ``name``: of a value nothing, unless it ``is_shown`` however it is."""
    head, tail = notation.head % name, notation.tail
    if name in _COUNTS:
        return lambda value: f"{head}{value}{tail}" if value else ""
    if name in _NESTED:
        bare = head.rstrip(" ")  # no space before the lines of what is nested
        read = _NESTED[name]
        return lambda text: (
            f"{bare}{_nested(value, notation)}{tail}" if (value := read(text)) or is_shown else ""
        )
    text_of = notation.time if name in _TIMES else notation.text

    def write(value: str) -> str:
        return f"{head}{text_of(value)}{tail}" if value or is_shown else ""

    return lru_cache(maxsize=512)(write) if name in _SHARED else write


def _nested(value: Value, notation: _Notation) -> str:
    """The value of a nested field with what separates it from its name."""
    if isinstance(value, Mapping | list):
        return notation.nested(value)
    return " " + (notation.text(value) if isinstance(value, str) else scalars.scalar(value))


def _yaml_nested(value: Nested) -> str:
    """A mapping or a list nested in a job."""
    if isinstance(value, list):
        if isinstance(value[0], dict):
            return yaml_of(value)
        return "".join(f"\n    - {one}" for one in value)
    entries = ((scalars.key(name).replace("\n", "\n    "), text) for name, text in value.items())
    return "".join(f"\n    {written} {scalars.text(text)}" for written, text in entries)


_YAML = _Notation("  %s: ", "\n", scalars.text, scalars.time, _yaml_nested)


def yaml_items(jobs: Iterable[Job], fields: Sequence[str] | None = None) -> Iterator[str]:
    """The YAML text of each job: one item of a list, with its final newline."""
    for text in _items(jobs, fields, _YAML):
        yield f"-\n{text}" if text else "- {}\n"


def _json_nested(value: Nested) -> str:
    """A JSON object or list nested in a job."""
    import json

    return " " + json.dumps(value if isinstance(value, list) else dict(value))


@cache
def _json() -> _Notation:
    """JSON in ASCII, so that no terminal or reader trips over a character."""
    from json.encoder import encode_basestring_ascii as quote

    return _Notation('"%s": ', ", ", quote, quote, _json_nested)


def json_items(jobs: Iterable[Job], fields: Sequence[str] | None = None) -> Iterator[str]:
    """The JSON object of each job."""
    for text in _items(jobs, fields, _json()):
        yield f"{{{text[:-2]}}}"


def write_yaml(jobs: Iterable[Job], out: TextIO, fields: Sequence[str] | None = None) -> int:
    """Write the jobs as one YAML list, ``--- []`` when there is none; return how many there were."""
    return _write(yaml_items(jobs, fields), out, ("---\n", "", ""), "--- []\n")


def write_json(jobs: Iterable[Job], out: TextIO, fields: Sequence[str] | None = None) -> int:
    """Write the jobs as one JSON list, one line per job; return how many there were."""
    return _write(json_items(jobs, fields), out, ("[\n", ",\n", "\n]\n"), "[]\n")


def write_jsonl(jobs: Iterable[Job], out: TextIO, fields: Sequence[str] | None = None) -> int:
    """Write one JSON object per line and job, each line whole; return how many there were."""
    return _write((f"{item}\n" for item in json_items(jobs, fields)), out, ("", "", ""), "")


def _write(items: Iterator[str], out: TextIO, around: tuple[str, str, str], none: str) -> int:
    """Write ``items`` with the text before, between and after them, or ``none``; return their number."""
    before, between, after = around
    count = 0
    for item in items:
        out.write((between if count else before) + item)
        count += 1
    out.write(after if count else none)
    return count
