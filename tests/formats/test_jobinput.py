"""What submit is given: lines or YAML, told apart; what is neither is refused and not run."""

from __future__ import annotations

import io

import pytest

from rq_py.errors import InputError
from rq_py.formats.jobinput import read_jobs
from rq_py.job import MAX_COMMAND_BYTES, JobSpec
from tests.formats.hostile import each


def commands(data: bytes | str) -> list[str]:
    return [spec.command for spec in jobs(data)]


def jobs(data: bytes | str) -> list[JobSpec]:
    return [*each(read_jobs(io.BytesIO(data if isinstance(data, bytes) else data.encode()), "joblist"))]


def error(data: bytes | str) -> str:
    """The error for ``data``, which is one line."""
    with pytest.raises(InputError) as caught:
        jobs(data)
    message = str(caught.value)
    assert message.isprintable()
    return message


def test_lines() -> None:
    text = "ls -l\n\n  # a comment\n#another\necho a # not a comment\n \t\nend without newline"
    assert commands(text) == ["ls -l", "echo a # not a comment", "end without newline"]


@pytest.mark.parametrize(
    "text", ["", "\n", "\n\n  \n", "# only a comment", "# a\n\n# b\n", "\ufeff", "---", "--- []"]
)
def test_nothing_is_no_job(text: str) -> None:
    assert commands(text) == []


def test_carriage_returns_before_newlines_are_dropped() -> None:
    assert commands("a\r\nb\r\n\r\nc\rd\r") == ["a", "b", "c\rd"]


def test_a_byte_order_mark_is_dropped() -> None:
    assert commands("\ufeffls\n") == ["ls"]
    assert commands("\ufeff---\n- command: ls\n") == ["ls"]


def test_only_a_newline_ends_a_line() -> None:
    assert commands("a\x0bb\x0cc\x85d\u2028e\n") == ["a\x0bb\x0cc\x85d\u2028e"]


def test_lines_across_the_chunks_in_which_they_are_read() -> None:
    lines = [f"echo {number} {'é' * (number % 7)}" for number in range(200_000)]
    assert commands("\n".join(lines)) == lines


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"ok\nbad \xff\n", "joblist line 2: is not valid UTF-8, convert it first (iconv -t UTF-8)"),
        (b"# c\n\nok\nno\0\n", "joblist line 4: holds a NUL byte, which no command can"),
        (b"\xff\xfel\0s\0", "joblist line 1: is UTF-16, convert it first (iconv -t UTF-8)"),
        (
            b"ok\n" * 600_000 + b"\xff",
            "joblist line 600001: is not valid UTF-8, convert it first (iconv -t UTF-8)",
        ),
    ],
)
def test_bytes_that_are_no_text(data: bytes, message: str) -> None:
    assert error(data) == message


@pytest.mark.parametrize("end", ["\n", "", "\r\n"])
def test_the_longest_command(end: str) -> None:
    assert commands("ok\n" + "x" * MAX_COMMAND_BYTES + end) == ["ok", "x" * MAX_COMMAND_BYTES]
    assert "joblist line 2: the command is longer than 65536 bytes" in error(
        "ok\n" + "x" * (MAX_COMMAND_BYTES + 1) + end
    )
    assert "put it into a script" in error("ok\n" + "é" * (MAX_COMMAND_BYTES // 2 + 1) + end)


def test_a_line_that_never_ends_is_not_read_for_ever() -> None:
    with open("/dev/zero", "rb") as endless, pytest.raises(InputError, match=r"line 1: .* is longer"):
        list(read_jobs(endless, "x"))


@pytest.mark.parametrize(
    "text", ["---\n", "--- \n", "---\t\n", "--- # jobs\n", "%YAML 1.1\n---\n", "# c\n\n---\n"]
)
def test_three_dashes_mark_yaml(text: str) -> None:
    assert commands(f"{text}- command: ls\n") == ["ls"]


@pytest.mark.parametrize(
    "text", ["---x", "-- ls", "----", "-x", "{ ls; }", "[ -e x ] && ls", '{ "my prog"; }']
)
def test_what_is_no_mark_is_a_command(text: str) -> None:
    assert commands(text) == [text]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('{"command": "ls"}', "looks like JSON"),
        ('[{"command": "ls"}]', "looks like JSON"),
        ('[\n{"command": "ls"}\n]', "looks like JSON"),
        ('\n{\n"command": "ls"}', "looks like JSON"),
        ("[]", "looks like JSON"),
        ("- command: ls\n", "looks like YAML"),
        ("-\n  command: ls\n", "looks like YAML"),
    ],
)
def test_data_that_would_run_as_commands_is_refused(text: str, hint: str) -> None:
    assert hint in error(text)


def test_a_json_list_behind_the_mark_is_yaml() -> None:
    assert commands('---\n[\n{"command": "a \\u00e9 \\" \\/"},\n{"command": "b", "priority": 3}]') == [
        'a é " /',
        "b",
    ]


def test_line_numbers_count_what_stood_before_the_mark() -> None:
    assert error("# one\n\n---\n- command: ls\n- priority: 1\n").startswith(
        "joblist line 5: the job has no command"
    )
