"""What the options of submit say of every job of the input: they override what the input says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from rq_py.errors import UsageError
from rq_py.formats.excerpt import shown
from rq_py.formats.jobspec import CheckedSpec, checked, is_variable_name, spec_from_mapping
from rq_py.human import HUMAN
from rq_py.job import JobSpec

#: What ``--env-all`` leaves behind: it describes the submitting shell, or the job that submits.
_LEFT_BEHIND = frozenset({"PWD", "OLDPWD", "SHLVL", "_", "RQ"})
_LEFT_BEHIND_PREFIX = "RQ_"


class Overrides:
    """The values given by options; None, or no variables, where one was not given.

    Raises InputError for a value that no job can have.
    """

    def __init__(
        self,
        *,
        priority: int | None = None,
        tag: str | None = None,
        runner: str | None = None,
        restartable: bool | None = None,
        stage: bool = False,
        not_before: str | None = None,
        expires: str | None = None,
        timeout: str | None = None,
        retries: int | None = None,
        backoff: str | None = None,
        after: Sequence[str] = (),
        collect: bool | None = None,
        key: str | None = None,
        human: bool = False,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.priority = priority
        self.tag = tag
        self.runner = runner
        self.restartable = restartable
        self.stage = stage
        self.cwd = cwd
        self.env = env or {}
        conditions = {
            "not_before": not_before,
            "expires": expires,
            "timeout": timeout,
            "retries": retries,
            "backoff": backoff,
            "after": after or None,
            "collect": collect,
            "key": key,
            "kind": HUMAN if human else None,
        }
        spec = spec_from_mapping({"command": "true", **vars(self), **conditions}, "option")
        #: What was given of these; an empty one unsets it. Times are the same for all jobs.
        self.conditions = {
            name: getattr(spec, name) for name, value in conditions.items() if value is not None
        }

    @property
    def is_for_one(self) -> bool:
        """Whether what was given can be said of one job only."""
        return self.conditions.get("key") is not None

    def apply(self, spec: CheckedSpec, current_directory: str) -> CheckedSpec:
        """``spec`` with what was given; a job without a cwd gets the current directory."""
        applied = JobSpec(
            command=spec.command,
            priority=spec.priority if self.priority is None else self.priority,
            tag=spec.tag if self.tag is None else self.tag or None,
            required_runner=spec.required_runner if self.runner is None else self.runner or None,
            restartable=spec.restartable if self.restartable is None else self.restartable,
            stage=self.stage or spec.stage,
            cwd=self.cwd or spec.cwd or current_directory,
            env={**spec.env, **self.env} if self.env else spec.env,
            stdin=spec.stdin,
            data=spec.data,
            not_before=spec.not_before,
            expires=spec.expires,
            timeout=spec.timeout,
            retries=spec.retries,
            backoff=spec.backoff,
            after=spec.after,
            collect=spec.collect,
            key=spec.key,
            kind=spec.kind,
            name=spec.name,
        )
        if self.conditions:
            applied = applied._replace(**self.conditions)
        # Both were checked; only together their variables may be too long.
        return checked(applied, "job") if self.env and spec.env else CheckedSpec(*applied)


def current_directory() -> str:
    """The current directory as the user's shell calls it, like ``pwd -L`` (POSIX).

    A path below an automounter thus stays one that other nodes have. Raises UsageError where the
    directory was removed.
    """
    try:
        physical = os.getcwd()
    except FileNotFoundError:
        raise UsageError("the current directory was removed: change to another, or give --cwd") from None
    logical = os.environ.get("PWD", "")
    try:
        is_current = logical.startswith("/") and os.path.samefile(logical, physical)
    except OSError:
        return physical
    return logical if is_current and not {".", ".."} & set(logical.split("/")) else physical


def variables(named: Iterable[str], everything: bool, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that ``--env NAME[=VALUE]`` and ``--env-all`` hand over. Raises UsageError."""
    given: dict[str, str] = {}
    if everything:
        given.update((name, value) for name, value in environ.items() if _is_handed_over(name, value))
    for word in named:
        name, equals, value = word.partition("=")
        if not is_variable_name(name):
            raise UsageError(f"--env {shown(word)}: is not NAME or NAME=VALUE")
        if not equals and name not in environ:
            raise UsageError(f"--env {name}: is not set in your environment, give {name}=VALUE")
        given[name] = value if equals else environ[name]
    return given


def _is_handed_over(name: str, value: str) -> bool:
    """Whether ``--env-all`` hands this variable over: a shell can export it, and it is UTF-8."""
    if name in _LEFT_BEHIND or name.startswith(_LEFT_BEHIND_PREFIX) or not is_variable_name(name):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
