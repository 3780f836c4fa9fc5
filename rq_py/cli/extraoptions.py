"""Options from the environment, ``RQ_OPTS`` or ``RQ_OPTIONS``, as in rq: the command line wins over them.

They hold for every mode that has them, so that ``RQ_OPTS="--tag=me --priority=-42"`` does not hinder
``rqpy status``; a word that is an option of no mode is refused.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from rq_py.cli.arguments import Invocation
from rq_py.cli.group import Modes
from rq_py.cli.modes import MODES
from rq_py.cli.optionwords import OptionWords
from rq_py.errors import UsageError
from rq_py.formats.excerpt import shown

#: As for the queue, the first that is set and not empty counts.
VARIABLES = ("RQ_OPTS", "RQ_OPTIONS")


def with_extra_options(invocation: Invocation, modes: Modes, environ: Mapping[str, str]) -> list[str]:
    """The arguments of the mode, with the extra options that the command line does not override before them.

    Raises UsageError where the variable holds anything but options.
    """
    variable = next((name for name in VARIABLES if environ.get(name)), None)
    if variable is None:
        return invocation.arguments
    own = modes.options_of(invocation.mode)
    given = set(_names(invocation.arguments, own))
    if invocation.queue is not None:
        given.add("queue_option")
    extra: list[str] = []
    for words in _options(_words(variable, environ[variable]), variable, own, modes):
        names = own.names(words[0])
        if names and not given.issuperset(names):
            extra += words
    return [*extra, *invocation.arguments]


def _words(variable: str, text: str) -> list[str]:
    """The words of the variable, quoted as for a shell. Raises UsageError."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{variable}: {shown(text)}: {error}") from None


def _options(words: Sequence[str], variable: str, own: OptionWords, modes: Modes) -> Iterator[Sequence[str]]:
    """Each option with its value, also those of other modes. Raises UsageError."""
    position = 0
    while position < len(words):
        word = words[position]
        length = own.length(word) or _length_elsewhere(word, modes) if word.startswith("-") else None
        if length is None:
            raise UsageError(f"{variable}: {shown(word)}: is no option of any mode")
        if position + length > len(words):
            raise UsageError(f"{variable}: {shown(word)}: needs a value")
        yield words[position : position + length]
        position += length


def _length_elsewhere(word: str, modes: Modes) -> int | None:
    """How many words the option in ``word`` takes in the first mode that has it, None where none has."""
    return next((length for mode in MODES if (length := modes.options_of(mode).length(word))), None)


def _names(arguments: Sequence[str], own: OptionWords) -> Iterator[str]:
    """The names of the options that the command line gives, up to a ``--``."""
    position = 0
    while position < len(arguments) and arguments[position] != "--":
        word = arguments[position]
        length = own.length(word) if word.startswith("-") else None
        if length:
            yield from own.names(word)
        position += length or 1
