"""Finds the queue and the mode in a command line: ``rqpy [QUEUE] MODE [ARGUMENTS]``.

Options of the mode may stand before it, as in rq: ``rqpy -p9 q submit ls``. What they are is known
only once the mode is, so the first word that can be the mode, with all before it being its options and at
most a queue, is the mode.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from rq_py.cli.modes import MODES, mode_named
from rq_py.cli.optionwords import OptionWords
from rq_py.errors import UsageError
from rq_py.formats.excerpt import shown

#: What a queue is called in all examples, and the abbreviation of query.
_USUAL = "q"


class Invocation:
    """A command line, taken apart.

    ``queue`` is the first argument, where it names a queue; ``arguments`` are the mode's, and options
    that stood before it are among them.
    """

    def __init__(self, mode: str, queue: str | None, arguments: list[str]) -> None:
        self.mode = mode
        self.queue = queue
        self.arguments = arguments


def split(words: Sequence[str], options_of: Callable[[str], OptionWords]) -> Invocation:
    """Take a command line apart; ``options_of`` gives the options of a mode.

    Raises UsageError where there is no mode.
    """
    for position, word in enumerate(words):
        mode = mode_named(word)
        if mode is None:
            continue
        before = _options_and_queue(words[:position], mode, options_of)
        if before is None:
            continue
        options, queue = before
        if queue is None and (
            _names_a_queue(word, words[position + 1 : position + 2])
            or (word == _USUAL and _is_behind_a_queue(words, position, options_of))
        ):
            continue
        return Invocation(mode, queue, [*options, *words[position + 1 :]])
    raise UsageError(_no_mode(words, options_of))


def _options_and_queue(
    words: Sequence[str], mode: str, options_of: Callable[[str], OptionWords]
) -> tuple[list[str], str | None] | None:
    """Sort what stands before ``mode``; None where that cannot be its options and a queue."""
    options: list[str] = []
    queue = None
    position = 0
    while position < len(words):
        word = words[position]
        if word.startswith("-") and len(word) > 1:
            length = options_of(mode).length(word)
            if length is None or position + length > len(words):
                return None
            options += words[position : position + length]
            position += length
        elif queue is None:
            queue = word
            position += 1
        else:
            return None
    return options, queue


def _names_a_queue(word: str, following: Sequence[str]) -> bool:
    """Whether a word that could be a mode is a queue instead: a mode follows, and there is such a queue.

    The one that is yet to be made counts too, where ``word`` is a mode's abbreviation only.
    """
    if not following or mode_named(following[0]) is None:
        return False
    return os.path.exists(os.path.join(word, "queue.yml")) or (following[0] == "create" and word not in MODES)


def _is_behind_a_queue(words: Sequence[str], position: int, options_of: Callable[[str], OptionWords]) -> bool:
    """Whether a mode stands behind the word at ``position``, with nothing but its options between.

    So what all examples call ``q`` is a queue, also where it does not exist, and not the mode query.
    """
    for end in range(position + 1, len(words)):
        mode = mode_named(words[end])
        if mode is not None and _options_and_queue(words[:end], mode, options_of) is not None:
            return True
    return False


def _no_mode(words: Sequence[str], options_of: Callable[[str], OptionWords]) -> str:
    """What is wrong with a command line without a mode."""
    for position, word in enumerate(words):
        mode = mode_named(word)
        if word == _USUAL and any(map(mode_named, words[position + 1 :])):
            continue
        for option in words[:position] if mode else ():
            if option.startswith("-") and options_of(mode or "").length(option) is None:
                return f"{shown(option)}: is no option of {mode}, see: rqpy help {mode}"
    plain = [word for word in words if not word.startswith("-")]
    if not plain:
        return f"{shown(words[0])}: no such option without a mode, see: rqpy help"
    if len(plain) == 1 and (os.sep in plain[0] or os.path.isdir(plain[0])):
        return f"{shown(plain[0])}: say what to do with it, as in: rqpy {plain[0]} list; see: rqpy help"
    from difflib import get_close_matches

    word = plain[1] if len(plain) > 1 and os.path.isdir(plain[0]) else plain[0]
    near = get_close_matches(word, MODES, n=1)
    hint = f"did you mean {near[0]}?" if near else "see: rqpy help"
    return f"{shown(word)}: no such mode, {hint}"
