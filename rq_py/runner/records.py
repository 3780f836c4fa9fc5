"""What feeder and runner tell each other of shells and jobs, as the feeder sees it: typed and immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from rq_py.runner import protocol


@dataclass(frozen=True, slots=True)
class Shell:
    """A ready-made shell: its pid and its start time in clock ticks since boot."""

    pid: int
    start: int


class Key(NamedTuple):
    """One attempt of one job."""

    jid: int
    attempt: int
    token: str


@dataclass(frozen=True, slots=True)
class Running:
    """A job that was launched and of whose end nothing is known; ``at`` is the launch in epoch seconds.

    ``reason`` is why the runner, or a ``kill``, has told it to end, which its exit will say.
    """

    key: Key
    pid: int
    start: int
    restartable: bool
    at: float
    reason: str | None = None  # runners of an older version do not say


@dataclass(frozen=True, slots=True)
class Exit:
    """How a job ended: ``exit_status`` or ``signal`` is set, the other one None.

    ``finished`` is in epoch seconds, ``elapsed`` in seconds from the launch, ``user_cpu`` and ``system_cpu``
    in seconds (the shell and the children that it waited for), ``max_rss`` in bytes: getrusage(2).
    ``reason`` is what a shell that ended with 126 had to say before the job's stderr was opened.
    """

    key: Key
    pid: int
    exit_status: int | None
    signal: int | None
    finished: float
    elapsed: float
    user_cpu: float
    system_cpu: float
    max_rss: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Launch:
    """A claimed job to be launched in the ready shell ``pid``; ``script`` is what that shell executes.

    Without a ``pid`` it waits until a slot is free, and is launched in any shell then.
    """

    pid: int | None
    key: Key
    restartable: bool
    script: str


@dataclass(frozen=True, slots=True)
class LaunchResult:
    """Which jobs were told to go, and which were not, each with the reason; those executed nothing.

    ``waiting`` are those that wait for a slot.
    """

    launched: list[Key]
    failed: list[tuple[Key, str]]
    waiting: list[Key] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Hello:
    """What a runner knows when a feeder introduces itself.

    ``journal`` is the id of its journal: a claim whose token has this id in front and which none of the four
    lists has was never launched, if ``complete``. Where it is not, the lists do not hold all that the runner
    knows, and the absence of a claim proves nothing. ``orphans`` were launched by an earlier runner of this
    boot that was killed; they may still run. ``rebooted`` were launched before the machine was booted anew,
    so nothing is left of them (and their pids name other processes now: never signal them). All but
    ``running`` are offered at each hello until they are confirmed.
    """

    journal: str
    boot: str
    pid: int
    version: str
    running: list[Running]
    exits: list[Exit]
    orphans: list[Running]
    rebooted: list[Running]
    complete: bool


# --- reading them from messages and writing them -----------------------------------------------------


def wire_key(key: Key) -> dict[str, object]:
    """Return ``key`` as the fields of a message."""
    return {"jid": key.jid, "attempt": key.attempt, "token": key.token}


def read_key(item: Mapping[str, object]) -> Key:
    """Return the key that a message holds; ProtocolError if it is malformed."""
    return Key(*protocol.take_key(item))


def read_shell(item: Mapping[str, object]) -> Shell:
    """Return the ready shell that a message describes; ProtocolError if it is malformed."""
    return Shell(protocol.take_int(item, "pid", low=1), protocol.take_int(item, "start"))


def read_running(item: Mapping[str, object]) -> Running:
    """Return the running job that a message describes; ProtocolError if it is malformed."""
    return Running(
        key=read_key(item),
        pid=protocol.take_int(item, "pid", low=1),
        start=protocol.take_int(item, "start"),
        restartable=protocol.take_bool(item, "restartable"),
        at=protocol.take_seconds(item, "at"),
        reason=_read_reason(item),
    )


def read_exit(item: Mapping[str, object]) -> Exit:
    """Return the exit that a message describes; ProtocolError if it is malformed."""
    return Exit(
        key=read_key(item),
        pid=protocol.take_int(item, "pid", low=1),
        exit_status=None if item.get("exit_status") is None else protocol.take_int(item, "exit_status"),
        signal=None if item.get("signal") is None else protocol.take_int(item, "signal"),
        finished=protocol.take_seconds(item, "finished"),
        elapsed=protocol.take_seconds(item, "elapsed"),
        user_cpu=protocol.take_seconds(item, "user_cpu"),
        system_cpu=protocol.take_seconds(item, "system_cpu"),
        max_rss=protocol.take_int(item, "max_rss"),
        reason=_read_reason(item),
    )


def _read_reason(item: Mapping[str, object]) -> str | None:
    return None if item.get("reason") is None else protocol.take_text(item, "reason")


def read_hello(answer: Mapping[str, object]) -> Hello:
    """Return what the answer to a hello says; ProtocolError if it is malformed."""

    def jobs(name: str) -> list[Running]:
        return [read_running(item) for item in protocol.take_objects(answer, name)]

    return Hello(
        journal=protocol.take_text(answer, "journal"),
        boot=protocol.take_text(answer, "boot"),
        pid=protocol.take_int(answer, "pid", low=1),
        version=protocol.take_text(answer, "version"),
        running=jobs("running"),
        exits=[read_exit(item) for item in protocol.take_objects(answer, "exits")],
        orphans=jobs("orphans"),
        rebooted=jobs("rebooted"),
        complete=protocol.take_bool(answer, "complete"),
    )
