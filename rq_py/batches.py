"""The jobs of one submit until they are inserted: those that differ in the command alone are one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from rq_py.errors import InputError
from rq_py.job import JobSpec
from rq_py.names import Names
from rq_py.spool import Spool

#: Commands of one batch, and characters in them. They are inserted by one statement.
MAX_COMMANDS = 1000
MAX_TEXT = 1 << 18


class Common(NamedTuple):
    """What the jobs of a batch have in common, as the database stores it."""

    priority: int
    tag: str | None
    required_runner: str | None
    restartable: bool
    stage: bool
    cwd: str | None
    env: str | None
    has_stdin: bool
    has_data: bool
    not_before: str | None
    expires: str | None
    timeout: float | None
    retries: int
    backoff: float | None
    collect: bool
    key: str | None
    kind: str | None
    after: list[str]


class Batches:
    """Batches in the order of their jobs. ``has_stdin`` and ``has_data``: every job is given some."""

    def __init__(self, *, has_stdin: bool = False, has_data: bool = False) -> None:
        self.count = 0  #: of the jobs
        self.names = Names()  #: by which they are after one another
        self.have_keys = False  #: whether any job has a key
        self._spool = Spool(rows_per_line=4)
        self._has_stdin, self._has_data = has_stdin, has_data
        self._like: JobSpec | None = None
        self._commands: list[str] = []
        self._text = 0

    def append(self, spec: JobSpec, commands: Sequence[str], jid: str | None = None) -> None:
        """Add jobs like ``spec``, which is checked, with these commands; ``jid`` is that of ``Alike``.

        Raises StorageError, InputError.
        """
        if self._like is None or spec[1:] != self._like[1:]:
            self._end_batch()
            self._like = spec
            self.have_keys = self.have_keys or spec.key is not None
            if spec.after:
                self.names.want(_after(spec))
            elif spec.collect:
                raise InputError("collect: the job is after no others: say --after, or after:")
            if spec.collect and (self._has_stdin or spec.stdin):
                raise InputError("collect: the job is to have another stdin, too: leave one of them out")
        for name in (spec.name, jid):
            if name is not None:
                self.names.give(name, self.count)
        self.count += len(commands)
        for begin in range(0, len(commands), MAX_COMMANDS):
            part = commands[begin : begin + MAX_COMMANDS]
            text = sum(map(len, part))
            if len(self._commands) + len(part) > MAX_COMMANDS or self._text + text > MAX_TEXT:
                self._end_batch()
            self._commands += part
            self._text += text

    def _end_batch(self) -> None:
        if self._commands and self._like is not None:
            self._spool.append((*self._common(self._like), self._commands))
            self._commands, self._text = [], 0

    def _common(self, spec: JobSpec) -> Common:
        return Common(
            priority=spec.priority,
            tag=spec.tag,
            required_runner=spec.required_runner,
            restartable=spec.restartable,
            stage=spec.stage,
            cwd=spec.cwd,
            env=env_text(spec.env),
            has_stdin=self._has_stdin or bool(spec.stdin),
            has_data=self._has_data or bool(spec.data),
            not_before=spec.not_before,
            expires=spec.expires,
            timeout=spec.timeout,
            retries=spec.retries,
            backoff=spec.backoff,
            collect=spec.collect,
            key=spec.key,
            kind=spec.kind,
            after=list(_after(spec)),
        )

    def __iter__(self) -> Iterator[tuple[Common, list[str]]]:
        """Each batch, with its commands. Raises StorageError."""
        self._end_batch()
        for row in self._spool:
            yield Common(*cast("Common", row[:-1])), cast("list[str]", row[-1])

    def complete(self) -> None:
        """All jobs are there: find who is after whom. Raises InputError, StorageError."""
        if self.names.are_wanted:
            self.names.find(self._afters())

    def _afters(self) -> Iterator[tuple[list[str], int, int]]:
        position = 0
        for common, commands in self:
            yield common.after, position, len(commands)
            position += len(commands)


def _after(spec: JobSpec) -> Sequence[str]:
    """What a checked job is after."""
    return cast("Sequence[str]", spec.after)


def env_text(variables: Mapping[str, str]) -> str | None:
    """The column ``env`` for these variables."""
    if not variables:
        return None
    import json

    return json.dumps(dict(variables), ensure_ascii=False)
