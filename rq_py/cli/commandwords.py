"""Tells the options of submit from those of the command that is submitted.

The rule, as ``rqpy help submit`` states it: before the command, options are submit's. Behind the command's
first word, what is no option of submit belongs to the command (``submit ls -la``). An option of submit there
could be meant for either: a long one is taken by submit where nothing of the command follows it (as in rq's
``submit cat --stdin=cat.in``), and that is said; anything else is refused. ``--`` ends them all. Options of a
log (-l, -v, --log), --key and --human are so usual among commands that they are submit's only before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from rq_py.cli.logoptions import LOG_OPTIONS
from rq_py.cli.optionwords import OptionWords
from rq_py.cli.printing import print_line

_UNMISTAKABLE = "--stdin"
_BEFORE_ONLY = frozenset({"key", "human", *(f"{name}_option" for name in LOG_OPTIONS)})


class CommandTaking(click.Command):
    """A click command whose last argument is a shell command with options of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse ``args``, sorted into options and words of the command first."""
        help_names = set(ctx.help_option_names)
        parameters = self.get_params(ctx)
        before = OptionWords(parameters)
        behind = OptionWords(one for one in parameters if one.name not in _BEFORE_ONLY)
        return super().parse_args(ctx, _Sorted(args, before, behind, help_names, ctx).arguments())


class _Sorted:
    """A command line, sorted into the options of the mode and the words of the shell command."""

    def __init__(
        self,
        args: Sequence[str],
        before: OptionWords,
        behind: OptionWords,
        help_names: set[str],
        ctx: click.Context,
    ) -> None:
        self._before = before
        self._behind = behind
        self._help_names = help_names
        self._ctx = ctx
        self._options: list[str] = []
        self._words: list[str] = []
        self._late: list[str] = []  # options taken behind the command's first word
        self._sort(args)

    def arguments(self) -> list[str]:
        """The options, ``--`` and the words of the command, as click parses them."""
        for option in self._late:
            if option.partition("=")[0] != _UNMISTAKABLE:
                print_line(
                    f"note: {option} was taken as an option of {self._ctx.info_name}, not of "
                    f"{self._words[0]}; to pass it on, put -- before the command",
                    "info",
                )
        return [*self._options, "--", *self._words]

    def _sort(self, args: Sequence[str]) -> None:
        position = 0
        while position < len(args):
            word = args[position]
            if word == "--" and not self._words:
                self._words += args[position + 1 :]
                return
            if word == "--":  # it is the command's own, as in: git checkout -- file
                self._add_words(args[position:])
                return
            own = self._behind if self._words and not self._is_complete else self._before
            length = own.length(word) if word.startswith("-") and word != "-" else 0
            if length is None and not self._words:
                length = 1  # click says that there is no such option
            if not length or (self._words and word in self._help_names):
                self._add_words([word])
                position += 1
            else:
                self._add_option(args[position : position + length])
                position += length

    def _add_words(self, words: Sequence[str]) -> None:
        """Words of the command."""
        if self._late:
            raise self._ambiguous(self._late[0])
        self._words += words

    def _add_option(self, words: Sequence[str]) -> None:
        """An option of the mode, with its value."""
        if self._words and not self._is_complete:
            if not words[0].startswith("--"):
                raise self._ambiguous(words[0])
            self._late.append(words[0])
        self._options += words

    @property
    def _is_complete(self) -> bool:
        """Whether the command cannot go on: it was given in one quoted word, or is ``-``."""
        return len(self._words) == 1 and (self._words[0] == "-" or any(map(str.isspace, self._words[0])))

    def _ambiguous(self, option: str) -> click.UsageError:
        command, mode = self._words[0], self._ctx.info_name
        return click.UsageError(
            f"is {option} an option of {mode} or of {command}? Put it before the command for {mode}, "
            f"or put -- before the command for {command}",
            self._ctx,
        )
