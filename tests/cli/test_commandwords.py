"""Which words of ``rqpy submit ...`` are submit's options, and which are the command's."""

from __future__ import annotations

import click
import pytest

from rq_py.cli.context import Context
from rq_py.cli.group import Modes


def parse(*words: str) -> tuple[str, dict[str, object]]:
    """The command and the options that were given."""
    command = Modes().get_command(None, "submit")
    assert command is not None
    modes = Modes()
    parent = click.Context(modes, info_name="rqpy", obj=Context("submit", None, {}), **modes.context_settings)
    context = command.make_context("submit", list(words), parent=parent)
    given = {
        name: value for name, value in context.params.items() if value and name not in ("words", "output")
    }
    return " ".join(context.params["words"]), given


@pytest.mark.parametrize(
    ("words", "command", "given"),
    [
        (["ls", "-la"], "ls -la", {}),
        (["ls", "-lt"], "ls -lt", {}),
        (["wc", "-c"], "wc -c", {}),
        (["sort", "--unique", "--key=2"], "sort --unique --key=2", {}),
        (["--key=k", "sort", "--key", "2", "x"], "sort --key 2 x", {"key": "k"}),
        (["make report", "--key", "k"], "make report", {"key": "k"}),
        (["--human", "du", "--human"], "du --human", {"human": True}),
        (["-p9", "ls"], "ls", {"priority": 9}),
        (["-p", "-9", "ls"], "ls", {"priority": -9}),
        (["--priority=-42", "ls"], "ls", {"priority": -42}),
        (["--tag", "x", "ls", "-l"], "ls -l", {"tag": "x"}),
        (["grep", "-v", "x", "-l"], "grep -v x -l", {}),
        (["train", "--log", "out", "--verbosity=3"], "train --log out --verbosity=3", {}),
        (["-v4", "--log", "out", "ls", "-l"], "ls -l", {}),
        (["-qt", "x", "ls"], "ls", {"quiet": True, "tag": "x"}),
        (["--", "ls", "-t", "--tag", "x"], "ls -t --tag x", {}),
        (["-q", "--", "-x"], "-x", {"quiet": True}),
        (["git", "checkout", "--", "--tag"], "git checkout -- --tag", {}),
        (["cat", "--stdin=cat.in"], "cat", {"stdin": "cat.in"}),
        (["cat", "--stdin", "-"], "cat", {"stdin": "-"}),
        (["cat", "-n", "--stdin=-"], "cat -n", {"stdin": "-"}),
        (["sleep", "5", "--priority", "3"], "sleep 5", {"priority": 3}),
        (["sort names.txt", "-p", "3", "-t", "x"], "sort names.txt", {"priority": 3, "tag": "x"}),
        (["-", "-t", "x"], "-", {"tag": "x"}),
        (["cat", "-"], "cat -", {}),
        (["df", "-h"], "df -h", {}),
        (["ls", "--help"], "ls --help", {}),
        (["--env", "A=1", "--env", "B", "x"], "x", {"env": ("A=1", "B")}),
        (["--env_all", "x"], "x", {"env_all": True}),
        ([], "", {}),
    ],
)
def test_options_and_command(words: list[str], command: str, given: dict[str, object]) -> None:
    assert parse(*words) == (command, given)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["ls", "-tl"], "-tl"),
        (["sort", "-t", ",", "x"], "-t"),
        (["grep", "-i", "x"], "-i"),
        (["tar", "-f", "x"], "-f"),
        (["train.py", "--data", "x", "--epochs", "3"], "--data"),
        (["make", "--quiet", "all"], "--quiet"),
        (["a", "--tag", "x", "--", "b"], "--tag"),
    ],
)
def test_what_could_be_meant_for_either_is_refused(words: list[str], option: str) -> None:
    with pytest.raises(click.UsageError, match=f"is {option} an option of submit or of {words[0]}"):
        parse(*words)


def test_an_unknown_option_before_the_command_is_refused() -> None:
    with pytest.raises(click.UsageError, match="No such option"):
        parse("--prioritty", "9", "ls")


def test_a_long_option_behind_the_command_is_taken_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert parse("git", "commit", "--quiet") == ("git commit", {"quiet": True})
    captured = capsys.readouterr()
    assert captured.err.startswith("rqpy: note: --quiet was taken as an option of submit, not of git;")
    assert captured.out == ""
    parse("cat", "--stdin=-")
    parse("git commit", "--quiet")
    parse("--quiet", "git", "commit")
    assert capsys.readouterr().err == ""
