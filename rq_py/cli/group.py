"""The click group of all modes: a mode's module is imported when the mode is used, and no other."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import click

from rq_py.cli.context import READING_MODES, Context, shared_options, snapshot_option
from rq_py.cli.modes import MODES, mode_named
from rq_py.cli.optionwords import OptionWords, normalized
from rq_py.errors import UsageError


class Modes(click.Group):
    """All modes, under their names and abbreviations."""

    def __init__(self) -> None:
        settings = {
            "help_option_names": ["-h", "--help"],
            "token_normalize_func": normalized,
            "max_content_width": 100,
        }
        super().__init__("rqpy", context_settings=settings)

    def run(self, context: Context, arguments: Sequence[str]) -> int:
        """Run the mode of ``context`` and return its exit status.

        Raises UsageError where the arguments make no sense, and whatever the mode raises.
        """
        command = self.get_command(None, context.mode)
        assert command is not None  # noqa: S101 - arguments.split has found it in the table
        parent = click.Context(self, info_name="rqpy [QUEUE]", obj=context, **self.context_settings)
        try:
            with command.make_context(context.mode, list(arguments), parent=parent) as click_context:
                if context.quiet or context.log_options:
                    from rq_py.cli.modelog import logged

                    return logged(context, lambda: _status_of(command, click_context))
                return _status_of(command, click_context)
        except click.UsageError as error:
            message = error.format_message().rstrip(".")
            raise UsageError(f"{message} (see: rqpy help {context.mode})") from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the modes, as the overview orders them."""
        return list(MODES)

    def get_command(self, ctx: click.Context | None, cmd_name: str) -> click.Command | None:
        """Import the module of a mode and return its command, with the options that every mode has."""
        name = mode_named(cmd_name)
        if name is None:
            return None
        command: click.Command = import_module(f"rq_py.cli.{name}").command
        if not any(parameter.name == "queue_option" for parameter in command.params):
            own = {word for parameter in command.params for word in parameter.opts}
            if name in READING_MODES:
                command.params.append(snapshot_option())
            command.params.extend(option for option in shared_options() if own.isdisjoint(option.opts))
        return command

    def options_of(self, mode: str) -> OptionWords:
        """The options of a mode, as words of a command line."""
        command = self.get_command(None, mode)
        return OptionWords(command.params if command else [])


def _status_of(command: click.Command, click_context: click.Context) -> int:
    """Run a mode; what is no exit status means that all is well."""
    status = command.invoke(click_context)
    return status if isinstance(status, int) else 0
