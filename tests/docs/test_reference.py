"""The command line documents itself: the reference is up to date, and no mode or option lacks help."""

from __future__ import annotations

import re

import click
import pytest

from rq_py.cli.modes import MODES
from tests.architecture.sources import REPOSITORY
from tests.docs.reference import PATH, commands, options_of, reference


def test_the_reference_is_up_to_date() -> None:
    assert PATH.read_text(encoding="utf-8") == reference(), "run bin/docs"


@pytest.mark.parametrize(("name", "command"), [(name, command) for name, _, command in commands()])
def test_no_mode_and_no_option_lacks_help(name: str, command: click.Command) -> None:
    assert command.help, name
    assert (command.help.strip().splitlines() or [""])[0].rstrip(), name
    for option in options_of(command):
        assert option.help, f"{name} {option.opts}"
        assert option.help.strip().endswith((".", "]")), f"{name} {option.opts}: {option.help}"


def test_the_readme_names_every_mode_and_its_abbreviations() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+` ?)+)\| ((?:`\w+` ?)*)\|", text, re.MULTILINE)
    named = {name for names, _ in rows for name in re.findall(r"\w+", names)}
    short = {word for _, words in rows for word in re.findall(r"\w+", words)}
    assert named == set(MODES)
    assert short == {word for mode in MODES.values() for word in mode.abbreviations}
