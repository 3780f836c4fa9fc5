"""The checks of one job that is to be submitted: a mapping of fields becomes a ``JobSpec``, or an error.

Shared by every way in: YAML documents, lines, the command line and the Python API.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypedDict

from rq_py.errors import InputError
from rq_py.formats.excerpt import CHARACTERS, shown
from rq_py.human import HUMAN
from rq_py.job import LISTED_FIELDS, MAX_COMMAND_BYTES, NODE_NAME, JobSpec, State

#: What a mapping may hold: the fields of a listing, and what is not kept.
INPUT_FIELDS = frozenset({*LISTED_FIELDS, "stage", "name"})

#: The longest tag, runner or cwd in bytes; PATH_MAX of Linux, and an environment string of the job each.
MAX_TEXT_BYTES = 4096

#: The longest variable ``NAME=VALUE`` in bytes: Linux refuses 128 KiB (MAX_ARG_STRLEN, execve(2)).
MAX_VARIABLE_BYTES = 128 * 1024 - 1

#: All variables of a job in bytes; Linux gives arguments and environment together 2 MiB (execve(2)).
MAX_ENV_BYTES = 1024 * 1024

#: How often a job may be tried again.
MAX_RETRIES = 1_000_000

_JID_DIGITS = 19  # of 2**63 - 1


class CheckedSpec(JobSpec):
    """A ``JobSpec`` that can be stored and run. Whoever makes one has checked all of it."""

    __slots__ = ()


class Alike(NamedTuple):
    """Jobs like ``spec``, but with these commands, which are checked too.

    ``jid`` is of the listing from which the one job was read: in the same input it is that job's name.
    """

    spec: CheckedSpec
    commands: Sequence[str]
    jid: str | None = None


def checked(spec: JobSpec, where: str) -> CheckedSpec:
    """``spec`` as it is when it was checked before, else checked now. Raises InputError, as below."""
    if isinstance(spec, CheckedSpec):
        return spec
    return spec_from_mapping(spec._asdict(), where)


def one_by_one(specs: Iterable[JobSpec]) -> Iterator[Alike]:
    """Each of ``specs`` by itself, checked. Raises InputError that says which one it is."""
    for number, given in enumerate(specs, 1):
        spec = checked(given, f"job {number}")
        yield Alike(spec, (spec.command,))


def spec_from_mapping(fields: Mapping[str, object], where: str = "job") -> CheckedSpec:
    """Check the fields of one job and return what submit takes.

    A mapping with a ``jid`` is a job of a listing: what the queue wrote in it (its times, its runner, its
    exit status ...) is left behind, and ``stdin: stdin/N`` and ``data: data/N`` ask for copies of those
    of the same queue. Without a ``jid``, ``runner`` is the node that is required. ``state: holding``
    means stage. A field that is None is not set.

    Raises InputError, its one line beginning with ``where``, for an unknown or a missing field, a wrong type,
    and a value that is too long or that no job can have.
    """
    unknown = [name for name in fields if name not in INPUT_FIELDS]
    if unknown:
        raise InputError(f"{where}: {shown(unknown[0])} is no field of a job{_nearest(str(unknown[0]))}")
    command = fields.get("command")
    if command is None:
        raise InputError(f"{where}: the job has no command, add `command: ...`")
    if not isinstance(command, str):
        raise InputError(f"{where}: command: {shown(command)} is not a text")
    check_command(command, where)
    try:
        return CheckedSpec(
            command=command,
            priority=_priority(fields),
            tag=_text(fields, "tag"),
            key=_text(fields, "key"),
            required_runner=_required_runner(fields),
            restartable=_flag(fields, "restartable"),
            stage=_stage(fields),
            cwd=_cwd(fields),
            env=_env(fields),
            stdin=_copy_of("stdin", fields),
            data=_copy_of("data", fields),
            not_before=_time(fields, "not_before"),
            expires=_time(fields, "expires"),
            timeout=_duration(fields, "timeout"),
            retries=_retries(fields),
            backoff=_duration(fields, "backoff"),
            kind=_kind(fields),
            **_dependencies(fields),
        )
    except (_Wrong, InputError) as wrong:
        raise InputError(f"{where}: {wrong}") from None


def check_command(command: str, where: str) -> None:
    """Raise InputError unless ``command`` can be stored, handed over and run."""
    if not command or command.isspace():
        raise InputError(f"{where}: the command is blank")
    if "\0" in command:
        raise InputError(f"{where}: the command holds a NUL byte, which no command can")
    try:
        size = len(command) if command.isascii() else len(command.encode())
    except UnicodeEncodeError:
        raise InputError(f"{where}: the command is not valid UTF-8") from None
    if size > MAX_COMMAND_BYTES:
        raise InputError(
            f"{where}: the command has {size} bytes, at most {MAX_COMMAND_BYTES} fit: "
            "put it into a script, and what it works on into --data"
        )


def is_variable_name(name: str) -> bool:
    """Whether ``name`` can be the name of an environment variable in a shell (POSIX XBD 8.1)."""
    return name.isascii() and name.isidentifier()


class _Wrong(Exception):
    """A field is not valid; the caller adds where it stands."""


def _nearest(name: str) -> str:
    """A hint at the field that was meant."""
    from difflib import get_close_matches

    near = get_close_matches(name[:CHARACTERS], sorted(INPUT_FIELDS), n=1)
    return f", did you mean {near[0]}?" if near else f", there are {' '.join(LISTED_FIELDS)}"


def _priority(fields: Mapping[str, object]) -> int:
    priority = fields.get("priority")
    if priority is None:
        return 0
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise _Wrong(f"priority: {shown(priority)} is not a whole number, write it like `priority: 5`")
    if not -(2**63) <= priority < 2**63:
        raise _Wrong(f"priority: {shown(priority)} does not fit into 64 bits")
    return int(priority)


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _Wrong(f"{name}: {shown(value)} is not a text")
    if "\0" in value or "\n" in value:
        raise _Wrong(f"{name}: {shown(value)} holds a NUL byte or a newline")
    if _size(name, value) > MAX_TEXT_BYTES:
        raise _Wrong(f"{name}: is longer than {MAX_TEXT_BYTES} bytes")
    return value


def _time(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    from rq_py.formats.moments import moment  # most jobs have no times

    try:
        return moment(value if isinstance(value, str) else "")
    except ValueError:
        raise _Wrong(
            f"{name}: {shown(value)} is neither a time, as 2026-11-20 15:06Z, nor + and a duration, as +30m"
        ) from None


def _duration(fields: Mapping[str, object], name: str) -> float | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    from rq_py.formats.moments import LONGEST, seconds

    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST:
        return float(value)
    try:
        return seconds(value if isinstance(value, str) else "")
    except ValueError:
        raise _Wrong(f"{name}: {shown(value)} is no duration, as 90, 30m or 1h30m") from None


def _retries(fields: Mapping[str, object]) -> int:
    value = fields.get("retries")
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_RETRIES:
        raise _Wrong(f"retries: {shown(value)} is not a whole number from 0 to {MAX_RETRIES}")
    return int(value)


class _Dependencies(TypedDict, total=False):
    """The fields of a ``JobSpec`` that are about other jobs, as far as they are given."""

    after: tuple[str, ...]
    collect: bool
    name: str


def _dependencies(fields: Mapping[str, object]) -> _Dependencies:
    found: _Dependencies = {}
    if fields.get("after") or fields.get("name") is not None:
        from rq_py.formats.afterinput import parse, parse_name  # most jobs are after nothing

        found["after"] = parse(fields.get("after"))
        if fields.get("name") is not None:
            found["name"] = parse_name(fields["name"])
    if fields.get("collect") is not None:
        found["collect"] = _flag(fields, "collect")
    return found


def _size(name: str, text: str) -> int:
    """The bytes of ``text`` in UTF-8."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise _Wrong(f"{name}: {shown(text)} is not valid UTF-8") from None


def _required_runner(fields: Mapping[str, object]) -> str | None:
    required = _text(fields, "required_runner")
    if fields.get("jid") is None:
        runner = _text(fields, "runner")
        if runner and required and runner != required:
            raise _Wrong(f"runner: {shown(runner)} contradicts required_runner: {shown(required)}")
        required = required or runner
    if required and not NODE_NAME.fullmatch(required):
        raise _Wrong(f"runner: {shown(required)} is no name that a node can have")
    return required


def _flag(fields: Mapping[str, object], name: str) -> bool:
    value = fields.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _Wrong(f"{name}: {shown(value)} is neither true nor false")
    return value


def _stage(fields: Mapping[str, object]) -> bool:
    state = fields.get("state")
    if state is not None and state not in list(State):
        raise _Wrong(f"state: {shown(state)} is none of {' '.join(State)}")
    return _flag(fields, "stage") or state == State.HOLDING


def _kind(fields: Mapping[str, object]) -> str | None:
    kind = fields.get("kind")
    if kind not in (None, "", HUMAN):
        raise _Wrong(f"kind: {shown(kind)} is not {HUMAN}, and a command has none")
    return HUMAN if kind else None


def _cwd(fields: Mapping[str, object]) -> str | None:
    cwd = _text(fields, "cwd")
    if cwd is not None and not cwd.startswith("/"):
        raise _Wrong(f"cwd: {shown(cwd)} is not an absolute path, and every node must find it")
    return cwd


def _env(fields: Mapping[str, object]) -> Mapping[str, str]:
    env = fields.get("env")
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise _Wrong(f"env: {shown(env)} is not a mapping of names to texts")
    total = 0
    for name, value in env.items():
        if not isinstance(name, str) or not is_variable_name(name):
            raise _Wrong(f"env: {shown(name)} cannot be the name of a variable (letters, digits and _)")
        if not isinstance(value, str):
            raise _Wrong(f"env: {name}: {shown(value)} is not a text, quote it")
        if "\0" in value:
            raise _Wrong(f"env: {name}: holds a NUL byte, which no variable can")
        size = len(name) + 1 + _size(f"env: {name}", value)
        if size > MAX_VARIABLE_BYTES:
            raise _Wrong(f"env: {name}: is longer than {MAX_VARIABLE_BYTES} bytes, put it into a file")
        total += size
    if total > MAX_ENV_BYTES:
        raise _Wrong(f"env: has {total} bytes, at most {MAX_ENV_BYTES} fit")
    return dict(env)


def _copy_of(kind: str, fields: Mapping[str, object]) -> str | None:
    """The ``stdin`` or ``data`` (``kind``) to copy: only what a listing of the same queue shows."""
    value = fields.get(kind)
    if value is None or value == "":
        return None
    folder, _, jid = value.partition("/") if isinstance(value, str) else ("", "", "")
    if folder != kind or not (jid.isascii() and jid.isdigit()) or jid[0] == "0" or len(jid) > _JID_DIGITS:
        raise _Wrong(f"{kind}: {shown(value)} is not {kind}/JID of the same queue; --{kind} takes a file")
    return f"{kind}/{jid}"
