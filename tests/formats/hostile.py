"""Hostile input for the tests of submit: how it is made, and what it may become."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from typing import Any

import yaml
from hypothesis import strategies as st

from rq_py.errors import InputError
from rq_py.formats import listing
from rq_py.formats.jobinput import read_jobs
from rq_py.formats.jobspec import Alike, CheckedSpec, spec_from_mapping
from rq_py.job import MAX_COMMAND_BYTES
from tests.formats.jobs import commands, jobs, texts, variables, words

#: What a parser, a shell or a terminal may take for something else than a text.
TOKENS = [
    b"---\n", b"...\n", b"--- ", b"- ", b"\n- ", b"\n  ", b": ", b"? ", b"{", b"}", b"[", b"]", b", ", b"%",
    b"command: ", b"priority: ", b"env: ", b"tag: ", b"stdin: stdin/1", b"data: data/../1", b"jid: 1", b"x",
    b"&a ", b"*a", b"*a\n", b"<<: *a", b"!!python/object/apply:os.system ", b"!x ", b"!%C0%80 ", b"!<%ED> ",
    b"!!binary ", b"!!set ", b"!!timestamp ", b"%YAML 1.1\n", b"%YAML 9.9\n", b"%TAG ! x\n", b"# ", b"|\n",
    b">-\n", b'"', b"'", b'"\\UFFFFFFFF"', b'"\\ud800"', b'"\\0"', b'"\\x', b"\\", b"@", b"`",
    b".inf", b"-.INF", b".nan", b"1e999", b"9" * 30, b"-" * 30, b"0x", b"190:20:30", b"2004-11-12", b"~",
    b"\0", b"\x01", b"\x1b[2J", b"\x7f", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xae",
    b"\xef\xbb\xbf", b"\xff", b"\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xf4\x90\x80\x80",
    b"\xf0\x9f\x98\x80", b"\r\n", b"\r", b"\t", b" ", b"\n", b"\n\n", b"x" * 5000, b"- " * 50, b"{a: " * 50,
    b"[" * 50,
]  # fmt: skip
PLACE = re.compile(r"in line [0-9]+( or after it)?: ")


def read(data: bytes) -> list[CheckedSpec] | str:
    """The jobs in ``data``, or what is said of it; any other exception is the bug that is looked for."""
    try:
        found = each(read_jobs(io.BytesIO(data), "in"))
    except InputError as error:
        return one_line(error)
    for spec in found:
        assert_sound(spec)
    return found


def each(found: Iterable[Alike]) -> list[CheckedSpec]:
    """The jobs one by one."""
    return [alike.spec._replace(command=command) for alike in found for command in alike.commands]


def one_line(error: Exception) -> str:
    message = str(error)
    assert PLACE.match(message), message
    assert message.isprintable()
    assert len(message) < 700
    return message


def assert_sound(spec: CheckedSpec) -> None:
    """What the rest of rqpy relies on, checked by other means than the parser's."""
    assert type(spec) is CheckedSpec
    for text in (spec.command, spec.tag, spec.required_runner, spec.cwd, *spec.env, *spec.env.values()):
        if text is not None:
            assert type(text) is str
            assert "\0" not in text
            text.encode("utf-8", "strict")
    assert spec.command.strip()
    assert len(spec.command.encode()) <= MAX_COMMAND_BYTES
    for text in (spec.tag, spec.required_runner, spec.cwd):
        assert text is None or (text != "" and "\n" not in text and len(text.encode()) <= 4096)
    assert spec.cwd is None or spec.cwd.startswith("/")
    assert type(spec.priority) is int
    assert -(2**63) <= spec.priority < 2**63
    assert type(spec.restartable) is type(spec.stage) is bool
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in spec.env)
    for kind in ("stdin", "data"):
        assert getattr(spec, kind) is None or re.fullmatch(rf"{kind}/[1-9][0-9]*", getattr(spec, kind))


def document(some: list[Any]) -> bytes:
    """Jobs as list prints them."""
    out = io.StringIO()
    listing.write_yaml(some, out)
    return out.getvalue().encode()


specs = st.fixed_dictionaries(
    {"command": commands},
    optional={
        "priority": st.integers(-(2**63), 2**63 - 1),
        "tag": words,
        "restartable": st.booleans(),
        "stage": st.booleans(),
        "cwd": words.map(lambda text: f"/{text}"),
        "env": variables,
    },
).map(spec_from_mapping)
documents = st.one_of(
    st.lists(jobs, min_size=1, max_size=3).map(document),
    st.lists(
        st.dictionaries(
            st.sampled_from(["command", "priority", "tag", "env", "jid", "zzz"]), texts, max_size=4
        ),
        max_size=3,
    ).map(lambda some: b"---\n" + yaml.safe_dump(some, allow_unicode=True).encode()),
)
#: Where in a document, what is done there, and with what.
mutations = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from(["insert", "replace", "cut", "twice", "flip"]),
        st.sampled_from(TOKENS),
    ),
    min_size=1,
    max_size=4,
)


def mutated(data: bytes, changes: list[tuple[float, str, bytes]]) -> bytes:
    for where, what, token in changes:
        at = int(where * len(data))
        before, after = data[:at], data[at:]
        if what == "insert":
            data = before + token + after
        elif what == "replace":
            data = before + token + after[len(token) :]
        elif what == "cut":
            data = before + after[len(token) :]
        elif what == "twice":
            data = before + after[:100] + after
        elif after:
            data = before + bytes([after[0] ^ 0x80]) + after[1:]
    return data
