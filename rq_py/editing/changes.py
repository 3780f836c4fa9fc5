"""What an edit sets, as the API is given it, and checked as a plan of columns, files and other jobs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, cast

from rq_py.batches import env_text
from rq_py.clock import utc_text
from rq_py.errors import UsageError
from rq_py.formats.jobspec import spec_from_mapping
from rq_py.job import JobSpec, State
from rq_py.staging import KINDS, Source, Staging
from rq_py.timing import WAITS_ANEW

#: The states in which a job may be updated, and those that an edit may set.
UPDATABLE = (State.PENDING, State.HOLDING)


class TouchChanges(TypedDict, total=False):
    """What a touch sets, by keyword; what is not given stays as it is.

    None unsets a runner (the node that is required), stdin, data, a cwd; ``env`` replaces all variables.
    ``state`` is pending or holding. ``stdin`` and ``data`` are copied to each job. ``not_before`` and
    ``expires`` are times, or + and a duration, ``timeout`` and ``backoff`` seconds or a duration, and None
    unsets each of them. ``after`` is jids, or texts JID:CONDITION, instead of those before; None for none.
    ``key`` is for one job alone.
    """

    priority: int
    runner: str | None
    restartable: bool
    cwd: str | None
    env: Mapping[str, str] | None
    state: State | str
    stdin: Source | None
    data: str | os.PathLike[str] | None
    not_before: str | None
    expires: str | None
    timeout: float | str | None
    retries: int
    backoff: float | str | None
    after: Sequence[str | int] | str | int | None
    collect: bool
    key: str | None


class Changes(TouchChanges, total=False):
    """What an update or a resubmit sets: further the command, and the tag, which None unsets."""

    command: str
    tag: str | None


_NAMES = tuple(Changes.__annotations__)


@dataclass(slots=True)
class Plan:
    """Checked changes: ``columns`` with their values, and ``files`` by kind, None where it is to go."""

    columns: dict[str, object] = field(default_factory=dict)
    files: dict[str, Source | Path | None] = field(default_factory=dict)
    after: Sequence[str] | None = None  #: what the jobs are to be after, None for as they are

    @classmethod
    def of(cls, changes: Changes) -> Plan:
        """Check ``changes``. Raises UsageError, InputError."""
        spec = spec_of(changes)
        columns: dict[str, object] = {}
        for name in changes:
            if name == "runner":
                columns["required_runner"] = spec.required_runner
            elif name == "env":
                columns["env"] = env_text(spec.env)
            elif name == "state":
                columns["state"] = State.HOLDING if spec.stage else State.PENDING
            elif name not in {"after", *KINDS}:
                columns[name] = getattr(spec, name)
        files: dict[str, Source | Path | None] = {}
        if "stdin" in changes:
            files["stdin"] = changes["stdin"]
        if "data" in changes:
            files["data"] = None if changes["data"] is None else Path(changes["data"])
        return cls(columns, files, cast("Sequence[str]", spec.after) if "after" in changes else None)

    @property
    def changes_anything(self) -> bool:
        """Whether anything was given."""
        return bool(self.columns or self.files or self.after is not None)

    @property
    def key(self) -> str | None:
        """The key that the one job is to have, None for none and for that which it has."""
        return cast("str | None", self.columns.get("key"))

    @property
    def is_about_others(self) -> bool:
        """Whether it may change what the jobs are after, or collect."""
        return self.after is not None or "collect" in self.columns or self.gives("stdin")

    def gives(self, kind: str) -> bool:
        """Whether the jobs are given a stdin or data (``kind``)."""
        return self.files.get(kind) is not None

    def assignments(self) -> tuple[str, dict[str, object]]:
        """The SET clause and its values."""
        values = {**self.columns, **{f"has_{kind}": int(self.gives(kind)) for kind in self.files}}
        sets = [f"{column} = :{column}" for column in values]
        if "not_before" in values:  # on the right of SET a column is as it was before
            sets.append(f"waits = {WAITS_ANEW.replace('not_before', ':not_before')}")
            values["now"] = utc_text()
        return ", ".join(sets), values

    def stage(self, staging: Staging, positions: Iterable[int], *, again: bool = False) -> None:
        """Stage the files, once for each position; ``again`` when it was done before for other positions.

        A stream is read once. Raises InputError, StorageError.
        """
        stdin, data = self.files.get("stdin"), self.files.get("data")
        for position in positions:
            if stdin is not None and not again:
                staging.add_stdin(position, stdin)
            elif stdin is not None:
                staging.add_stdin_again(position)
            if data is not None:
                staging.add_data(position, cast("Path", data))
            again = True


def spec_of(changes: Changes) -> JobSpec:
    """The job that ``changes`` describe, to check them as a submit's. Raises UsageError, InputError."""
    unknown = [name for name in changes if name not in _NAMES]
    if unknown:
        raise UsageError(f"{unknown[0]}: cannot be changed, there are {' '.join(_NAMES)}")
    fields: dict[str, object] = {"command": "true", **changes}
    for kind in KINDS:
        fields.pop(kind, None)
    fields["required_runner"] = fields.pop("runner", None)
    state = fields.get("state", State.PENDING)
    if state not in UPDATABLE:
        raise UsageError(f"state: {state!r} cannot be set, only {' and '.join(UPDATABLE)}")
    return spec_from_mapping(fields, "change")
