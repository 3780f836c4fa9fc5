"""Which words of a command line are options of a mode, and which of these take a word more."""

from __future__ import annotations

from collections.abc import Iterable

import click


def normalized(name: str) -> str:
    """The name of an option as it is declared; rq writes ``--max_feed`` for ``--max-feed``."""
    return name.replace("_", "-")


class OptionWords:
    """The options of one mode, as words of a command line."""

    def __init__(self, parameters: Iterable[click.Parameter]) -> None:
        self._takes_value: dict[str, bool] = {}
        self._names: dict[str, str] = {}
        for parameter in parameters:
            if isinstance(parameter, click.Option):
                takes_value = not parameter.is_flag and not parameter.count
                names = (*parameter.opts, *parameter.secondary_opts)
                self._takes_value.update(dict.fromkeys(names, takes_value))
                self._names.update(dict.fromkeys(names, parameter.name or ""))

    def length(self, word: str) -> int | None:
        """How many words the option in ``word`` takes: 1, or 2 with its value; None if it is no option.

        Short options may be joined, as in ``-qp9``; all of them must be options of the mode then.
        """
        if word.startswith("--"):
            name, equals, _ = word.partition("=")
            name = normalized(name)
            if name not in self._takes_value:
                return None
            return 2 if self._takes_value[name] and not equals else 1
        for position, letter in enumerate(word[1:], start=2):
            takes_value = self._takes_value.get(f"-{letter}")
            if takes_value is None:
                return None
            if takes_value:
                return 1 if word[position:] else 2
        return 1 if len(word) > 1 else None

    def names(self, word: str) -> list[str]:
        """The names of the parameters that the options in ``word`` set; none if it is no option."""
        if self.length(word) is None:
            return []
        if word.startswith("--"):
            return [self._names[normalized(word.partition("=")[0])]]
        names = []
        for letter in word[1:]:
            names.append(self._names[f"-{letter}"])
            if self._takes_value[f"-{letter}"]:
                break
        return names
