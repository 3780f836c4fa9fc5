"""Finding queue and mode in a command line, as rq's README writes them."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from rq_py.cli.arguments import split
from rq_py.cli.group import Modes
from rq_py.cli.modes import MODES, mode_named
from rq_py.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder holds no queue that could be meant by chance."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parts(line: str) -> tuple[str | None, str, list[str]]:
    found = split(line.split(), Modes().options_of)
    return found.queue, found.mode, found.arguments


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("list", (None, "list", [])),
        ("q list", ("q", "list", [])),
        ("q l p", ("q", "list", ["p"])),
        ("l f", (None, "list", ["f"])),
        ("q s ls", ("q", "submit", ["ls"])),
        ("submit ls", (None, "submit", ["ls"])),
        ("/nfs/q s - ", ("/nfs/q", "submit", ["-"])),
        ("./list list", ("./list", "list", [])),
        ("-p9 q s ls", ("q", "submit", ["-p9", "ls"])),
        ("-p 9 q s ls", ("q", "submit", ["-p", "9", "ls"])),
        ("-p9 -timportant q s", ("q", "submit", ["-p9", "-timportant"])),
        ("-t s q s ls", ("q", "submit", ["-t", "s", "ls"])),
        ("--tag s s ls", (None, "submit", ["--tag", "s", "ls"])),
        ("--stage q s x", ("q", "submit", ["--stage", "x"])),
        ("-qp9 q s x", ("q", "submit", ["-qp9", "x"])),
        ("q -p9 s ls", ("q", "submit", ["-p9", "ls"])),
        ("--queue q list", (None, "list", ["--queue", "q"])),
        ("-Q list list", (None, "list", ["-Q", "list"])),
        ("-Qq l", (None, "list", ["-Qq"])),
        ("--max_feed 2 q feed", ("q", "feed", ["--max_feed", "2"])),
        ("q 1 42", ("q", "stdout", ["42"])),
        ("s create", ("s", "create", [])),
        ("submit create", (None, "submit", ["create"])),
        ("q t --exit ok=42", ("q", "status", ["--exit", "ok=42"])),
        ("q submit cat --stdin=-", ("q", "submit", ["cat", "--stdin=-"])),
        ("help submit", (None, "help", ["submit"])),
        ("q help", ("q", "help", [])),
        ("q q tag=x", ("q", "query", ["tag=x"])),
        ("q tag=x", (None, "query", ["tag=x"])),
        ("q -q tag=x", (None, "query", ["-q", "tag=x"])),
        ("q", (None, "query", [])),
    ],
)
def test_queue_mode_and_arguments(line: str, expected: tuple[str | None, str, list[str]]) -> None:
    assert parts(line) == expected


def test_a_queue_may_be_called_like_a_mode(folder: Path) -> None:
    (folder / "l").mkdir()
    assert parts("l t") == (None, "list", ["t"])
    (folder / "l" / "queue.yml").touch()
    assert parts("l t") == ("l", "status", [])
    assert parts("l") == (None, "list", [])
    assert parts("l pending") == (None, "list", ["pending"])
    assert parts("l l l") == ("l", "list", ["l"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lst", "'lst': no such mode, did you mean list?"),
        ("x", "'x': no such mode, see: rqpy help"),
        ("/nfs/q", "'/nfs/q': say what to do with it, as in: rqpy /nfs/q list; see: rqpy help"),
        ("x y list", "'x': no such mode, see: rqpy help"),
        ("--nonsense list", "'--nonsense': is no option of list, see: rqpy help list"),
        ("-p9 q list", "'-p9': is no option of list, see: rqpy help list"),
        ("--nonsense", "'--nonsense': no such option without a mode, see: rqpy help"),
        ("-p", "'-p': no such option without a mode"),
    ],
)
def test_without_a_mode(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parts(line)
    assert message in str(caught.value)


def test_every_mode_has_its_command_and_no_name_is_given_twice() -> None:
    names = [name for mode, entry in MODES.items() for name in (mode, *entry.abbreviations)]
    assert len(names) == len(set(names))
    modes = Modes()
    for name in names:
        assert isinstance(modes.get_command(None, name), click.Command)
        assert mode_named(name) in MODES
    assert modes.get_command(None, "nothing") is None


def test_every_mode_has_the_shared_options_once() -> None:
    modes = Modes()
    for _ in range(2):
        for name in MODES:
            command = modes.get_command(None, name)
            assert command is not None
            assert [option.name for option in command.params].count("queue_option") == 1


def test_no_option_is_declared_twice_in_a_mode() -> None:
    for name in MODES:
        command = Modes().get_command(None, name)
        assert command is not None
        words = [
            word for option in command.params if isinstance(option, click.Option) for word in option.opts
        ]
        assert len(words) == len(set(words)), name
