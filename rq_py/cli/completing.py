"""Completes a command line that is not finished: modes, options and their values, and what is in the queue.

The shells' side is click's; which words can stand where is found here, because a queue and options may stand
before the mode. Whatever goes wrong, nothing is offered and nothing is said.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from rq_py.cli.arguments import split
from rq_py.cli.completion import SHELLS, VARIABLE
from rq_py.cli.context import Context
from rq_py.cli.group import Modes
from rq_py.cli.modes import GROUPS, MODES
from rq_py.errors import UsageError
from rq_py.job import LISTED_FIELDS, Job, State

if TYPE_CHECKING:
    from rq_py.queue import Queue

#: How many of the jobs that were submitted last are looked at: a few hundredths of a second.
_LOOKED_AT = 2000
#: How many jids are offered at most.
_OFFERED = 200
#: Seconds to wait for the queue lock.
_PATIENCE = 0.5

_PROGRAM = "rqpy"
_STATES = (*State, "all")
_WAITING = (State.PENDING, State.HOLDING)
_STARTED = (State.RUNNING, State.FINISHED, State.DEAD)
_NOT_RUNNING = tuple(state for state in State if state is not State.RUNNING)
#: Which jobs the jids of a mode name; a mode that is not here names none.
_JOBS_OF: Mapping[str, Sequence[State]] = {
    **dict.fromkeys(("list", "wait", "stdin", "stdin4", "stdout4", "stderr4"), tuple(State)),
    **dict.fromkeys(("stdout", "stderr", "ioview"), _STARTED),
    **dict.fromkeys(("delete", "resubmit"), _NOT_RUNNING),
    "update": _WAITING,
    "complete": (State.PENDING,),
    "tail": (*_WAITING, State.RUNNING),
}
_BY_STATE = frozenset({"list", "wait", "delete", "update", "resubmit"})
_UPDATED = (
    *("after", "backoff", "collect", "command", "cwd", "data", "expires", "key", "not_before", "priority"),
    *("restartable", "retries", "runner", "state", "stdin", "tag", "timeout"),
)
_WORDS: Mapping[str, Sequence[str]] = {
    "completion": SHELLS,
    "cron": ("start", "stop", "shutdown", "add", "delete", "tab"),
    "help": tuple(MODES),
    "lock": ("read", "shared", "write", "exclusive"),
}
_FILES = frozenset({"submit", "touch", "snapshot", "backup", "rotate", "lock"})

Item = CompletionItem[str]


class _Completion(ShellComplete):
    """Finds what can stand at the cursor."""

    def get_completions(self, args: list[str], incomplete: str) -> list[Item]:
        """What the word ``incomplete`` behind ``args`` can become."""
        return list(completions(args, incomplete))


class _Bash(_Completion, BashComplete):
    """Bash takes ``--tag=x`` for three words, and puts what it is given on the line as it is."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words as rqpy would get them."""
        words = split_arg_string(os.environ["COMP_WORDS"])[1 : int(os.environ["COMP_CWORD"]) + 1]
        words += [""] * (int(os.environ["COMP_CWORD"]) - len(words))
        whole: list[str] = []
        glued = False
        for word in words:
            if whole and (glued or word == "="):
                whole[-1] += word
                glued = word == "="
            else:
                whole.append(word)
        return whole[:-1], whole[-1] if whole else ""

    def get_completions(self, args: list[str], incomplete: str) -> list[Item]:
        """What the word can become; of one with ``=``, what stands behind that."""
        items = super().get_completions(args, incomplete)
        cut = len(incomplete.partition("=")[0]) + 1 if "=" in incomplete else 0
        return [CompletionItem(item.value[cut:], type=item.type, help=item.help) for item in items]

    def format_completion(self, item: Item) -> str:
        """One line for the script."""
        plain = item.type != "plain" or item.value.endswith("=") or not item.value
        return f"{item.type},{item.value if plain else shlex.quote(item.value)}"


class _Zsh(_Completion, ZshComplete):
    """Zsh, as click speaks to it."""


class _Fish(_Completion, FishComplete):
    """Fish, as click speaks to it."""


_CLASSES: Mapping[str, type[_Completion]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def script(shell: str) -> str:
    """The completion script of ``shell``."""
    return ShellComplete.source(_of(shell))


def complete(instruction: str) -> str:
    """The completions that ``instruction``, such as ``bash_complete``, asks for, as its script reads them."""
    shell = instruction.removesuffix("_complete")
    if shell not in _CLASSES:
        return ""
    try:
        text = _of(shell).complete()
    except Exception:  # noqa: BLE001 - somebody types; there is no good moment for an error
        return ""
    return f"{text}\n" if text else ""


def _of(shell: str) -> _Completion:
    return _CLASSES[shell](Modes(), {}, _PROGRAM, VARIABLE)


def completions(args: Sequence[str], incomplete: str) -> Iterator[Item]:
    """What ``incomplete`` can become behind the words ``args``."""
    modes = Modes()
    try:
        invocation = None if not args or _is_queue(args) else split(args, modes.options_of)
    except UsageError:
        invocation = None
    if invocation is None:
        yield from _modes(args, incomplete)
        return
    command = modes.get_command(None, invocation.mode)
    assert command is not None  # noqa: S101
    context = Context(invocation.mode, invocation.queue, os.environ)
    context.timeout = _PATIENCE
    _name_queue(context, invocation.arguments)
    yield from _Line(context, command).at(invocation.arguments, incomplete)


def _is_queue(args: Sequence[str]) -> bool:
    """Whether there is a queue so far and no mode; many a queue is called q, which is a mode's name too."""
    return len(args) == 1 and os.path.exists(os.path.join(args[0], "queue.yml"))


def _name_queue(context: Context, arguments: Sequence[str]) -> None:
    """Take the queue that ``--queue`` names."""
    for position, word in enumerate(arguments):
        if word in ("--queue", "-Q") and position + 1 < len(arguments):
            context.name_queue(arguments[position + 1])
        elif word.startswith("--queue="):
            context.name_queue(word.partition("=")[2])


def _modes(words: Sequence[str], incomplete: str) -> Iterator[Item]:
    """Where no mode stands yet: a mode, and as the first word a queue."""
    offered = False
    for group in GROUPS.values():
        for name, mode in group.items():
            if name.startswith(incomplete) and not incomplete.startswith("-"):
                offered = True
                yield CompletionItem(name, help=mode.summary)
    if not words and not (offered and incomplete):
        yield CompletionItem(incomplete, type="dir")


class _Line:
    """A command line whose mode is known."""

    def __init__(self, context: Context, command: click.Command) -> None:
        self._context = context
        self._mode = context.mode
        self._options = [option for option in command.params if isinstance(option, click.Option)]
        self._arguments = [one for one in command.params if isinstance(one, click.Argument)]
        self._jobs: list[Job] | None = None

    def at(self, arguments: Sequence[str], incomplete: str) -> Iterator[Item]:
        """What can stand behind ``arguments``."""
        option = self._awaits_value(arguments)
        if option is not None:
            yield from self._values(option, incomplete)
        elif incomplete.startswith("--") and "=" in incomplete:
            name, _, begun = incomplete.partition("=")
            for option in self._options:
                if name in option.opts:
                    for item in self._values(option, begun):
                        yield CompletionItem(f"{name}={item.value}", type=item.type, help=item.help)
        elif incomplete.startswith("-") and "--" not in arguments:
            for option in self._options:
                for name in option.opts:
                    if name.startswith(incomplete) and (name.startswith("--") or len(incomplete) > 1):
                        yield CompletionItem(name, help=" ".join((option.help or "").split()))
        else:
            yield from self._words(arguments, incomplete)

    def _awaits_value(self, arguments: Sequence[str]) -> click.Option | None:
        """The option whose value comes next."""
        last = arguments[-1] if arguments else ""
        for option in self._options:
            if last in option.opts and not option.is_flag and not option.count and "--" not in arguments:
                return option
        return None

    def _values(self, option: click.Option, incomplete: str) -> Iterator[Item]:
        """The values of an option."""
        if isinstance(option.type, click.Choice):
            yield from _plain(map(str, option.type.choices), incomplete)
        elif option.name in ("tag", "runner", "key"):
            yield from _plain(self._known(lambda job: getattr(job, str(option.name))), incomplete)
        elif option.name == "fields":
            before, comma, begun = incomplete.rpartition(",")
            taken = before.split(",")
            for item in _plain((name for name in LISTED_FIELDS if name not in taken), begun):
                yield CompletionItem(f"{before}{comma}{item.value}")
        elif option.name in ("verbosity", "verbosity_option"):
            yield from _plain(("fatal", "error", "warn", "info", "debug"), incomplete)
        elif option.name in ("queue_option", "cwd"):
            yield CompletionItem(incomplete, type="dir")
        elif option.name in ("log", "log_option", "infile", "stdin", "data"):
            yield CompletionItem(incomplete, type="file")

    def _words(self, arguments: Sequence[str], incomplete: str) -> Iterator[Item]:
        """The words of a mode that are no options."""
        if self._mode in _WORDS and not (self._mode == "lock" and arguments):
            if not [word for word in arguments if not word.startswith("-")]:
                yield from _plain(_WORDS[self._mode], incomplete)
            return
        if self._mode in _BY_STATE:
            yield from _plain(_STATES, incomplete)
        if self._mode == "update":
            yield from _plain((f"{name}=" for name in _UPDATED), incomplete)
        if self._mode == "query":
            yield from self._conditions(incomplete)
        if self._mode in ("create", "configure"):
            from rq_py.settings import CHANGEABLE

            yield from _plain((f"{name}=" for name in CHANGEABLE), incomplete)
        if self._mode in _FILES:
            yield CompletionItem(incomplete, type="file")
        if self._mode in _JOBS_OF and (not incomplete or incomplete.isdigit()):
            yield from self._jids(set(arguments), incomplete)

    def _jids(self, taken: set[str], incomplete: str) -> Iterator[Item]:
        """The jids of jobs that the mode is about, the youngest first."""
        states = _JOBS_OF[self._mode]
        offered = 0
        for job in self._recent():
            jid = str(job.jid)
            if self._mode == "complete" and job.kind is None:
                continue
            if job.state in states and jid.startswith(incomplete) and jid not in taken:
                yield CompletionItem(jid, help=_described(job))
                offered += 1
                if offered == _OFFERED:
                    return

    def _conditions(self, incomplete: str) -> Iterator[Item]:
        """Simple conditions: a field, and the value of one where these are few."""
        name, equals, begun = incomplete.partition("=")
        if not equals:
            yield from _plain((f"{field}=" for field in LISTED_FIELDS), incomplete)
            return
        values = {"tag": self._known(lambda job: job.tag), "runner": self._known(lambda job: job.runner)}
        for item in _plain(State if name == "state" else values.get(name, ()), begun):
            yield CompletionItem(f"{name}={item.value}")

    def _known(self, value: Callable[[Job], str | None]) -> Iterator[str]:
        """What a field holds among the jobs that were submitted last."""
        yield from sorted({text for job in self._recent() if (text := value(job))})

    def _recent(self) -> list[Job]:
        """The jobs that were submitted last; none where there is no queue yet."""
        if self._jobs is None:
            if self._context.named is None and not self._context.queue_path.exists():
                return []
            queue: Queue = self._context.queue()
            self._jobs = queue.recent(_LOOKED_AT)
        return self._jobs


def _plain(values: Iterable[str], incomplete: str) -> Iterator[Item]:
    """Those of ``values`` that ``incomplete`` can become."""
    return (CompletionItem(str(value)) for value in values if value.startswith(incomplete))


def _described(job: Job) -> str:
    """A job in a few words."""
    command = " ".join(job.command.split())[:60]
    return "".join(char if char.isprintable() else "?" for char in f"{job.state} {command}")
