"""Hostile input to submit: it becomes checked jobs, or one line that names the place."""

from __future__ import annotations

import io
from contextlib import suppress
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rq_py.errors import InputError, UsageError
from rq_py.formats import conditions, listing
from rq_py.formats.jidinput import read_jids
from rq_py.formats.jobinput import read_jobs
from rq_py.formats.jobrow import problem_of
from rq_py.formats.jobspec import checked, spec_from_mapping
from rq_py.formats.lineinput import read_lines
from rq_py.formats.table import write_table
from rq_py.job import LARGEST_JID, LISTED_FIELDS, JobSpec
from tests.formats.hostile import (
    TOKENS,
    assert_sound,
    document,
    documents,
    mutated,
    mutations,
    one_line,
    read,
)
from tests.formats.jobs import job, texts


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([b"", b"---\n", b"---\n- command: ", b'---\n- "']), st.binary(max_size=300))
def test_any_bytes(parser: str, begin: bytes, data: bytes) -> None:
    read(begin + data)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"", b"---\n", b"---\n- command: x\n"]), st.lists(st.sampled_from(TOKENS), max_size=12)
)
def test_any_order_of_what_yaml_is_made_of(parser: str, begin: bytes, tokens: list[bytes]) -> None:
    read(begin + b"".join(tokens))


@settings(max_examples=200, deadline=None)
@given(documents, mutations)
def test_documents_that_were_tampered_with(
    parser: str, data: bytes, changes: list[tuple[float, str, bytes]]
) -> None:
    read(mutated(data, changes))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"---\n- command: !%C0%80 x\n", "is not YAML in UTF-8"),
        (b"---\n- command: !<%ED%A0%80> x\n", "is not YAML in UTF-8"),
        (b"---\n- !%ED%A0%80 {command: x}\n", "is not YAML in UTF-8"),
        (b'---\n- command: "\\UFFFFFFFF"\n', "in line 2"),
        (b'---\n- command: "\\ud800"\n', "in line 2"),
        (b"%YAML 1." + b"9" * 5000 + b"\n---\n- command: x\n", "in line 1"),
        (b"%YAML 2.0\n---\n- command: x\n", "in line 1: is not YAML"),
        (b"%TAG !e! tag:x,2000:\n---\n- command: !e!y x\n", "the tag 'tag:x,2000:y' is not read"),
        (
            b"---\n- command: a\n- command: b\n- command: \x01\n",
            "in line 4: is not YAML in UTF-8",
        ),
        (b"---\n- command: a\n- command: b\n  tag: \xed\xa0\x80\n", "in line 4: is not YAML in UTF-8"),
        (
            b"---\n" + b"- command: \xc3\xa9\n" * 9999 + b"- command: \xff\n",
            "in line 10001: is not YAML in UTF-8",
        ),
        (b"---\n- &a\n  command: x\n- <<: *a\n  tag: y\n", "in line 4: '<<': the alias *a is not read"),
        (b"---\n- command: x\n  <<: &m {tag: y}\n", "in line 3: '<<': a mapping, not a single value"),
        (b"---\n- command: x\n  env: &e {A: b}\n- command: y\n  env: *e\n", "in line 5: 'env': the alias *e"),
        (b"---\n- command: x\n  command: y\n", "in line 3: 'command' is given twice"),
        (b"---\n- command: x\n  priority: .inf\n", "priority: '.inf' is not a whole number"),
        (b"---\n- command: x\n  priority: !!float 1\n", "the tag 'tag:yaml.org,2002:float' is not read"),
        (b"---\r\n- command: x\r\n  priority: 1e3\r\n", "in line 2: priority: '1e3' is not a whole number"),
        (b"---\n- command: !!python/object/apply:os.system ['x']\n", "in line 2: 'command': a list"),
        (b"---\n- command: x\n---\n- command: [y]\n", "in line 4: 'command': a list"),
        (b"---\n- command: x\n" + b"- - " * 10_000, "in line 3: a list, not a job"),
        (b"---\n- command: x\n  env: " + b"{A: " * 10_000, "in line 3: env: 'A': a mapping, not a text"),
        (b"---\n- ? " + b"? " * 10_000 + b"x", "in line 2: a mapping, where the name of a field must stand"),
        (
            b"---\n- command: x\n  env:\n"
            + b"".join(b"    A%d: %s\n" % (n, b"y" * 999) for n in range(1100)),
            "env: has",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_one_hostile_document_each(parser: str, data: bytes, message: str) -> None:
    said = read(data)
    assert message in str(said)
    assert isinstance(said, str)


@pytest.mark.parametrize(
    "piece", [b"[" * 8, b"{" * 8, b"- " * 4, b"# ....\n", b"--- \n", b"&a ", b"!x ", b"a" * 8, b"\n"]
)
def test_input_without_end_is_given_up_after_a_few_megabytes(
    parser: str, piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rq_py.formats import yamlinput

    monkeypatch.setattr(yamlinput, "MAX_JOB_BYTES", 300_000)  # the pure parser is slow
    source = Endless(b"---\n- command: x\n", piece * 1000)
    with pytest.raises(InputError) as caught:
        list(read_jobs(source, "in"))  # type: ignore[arg-type]
    one_line(caught.value)
    assert source.given < 300_000 + 3 * source.most


class Endless:
    """A stream that begins with one thing and goes on with another for ever; counts what it has given."""

    def __init__(self, begin: bytes, piece: bytes) -> None:
        self.given = 0
        self.most = 1
        self._begin = io.BytesIO(begin)
        self._piece = piece

    def readline(self, size: int) -> bytes:
        return self._begin.readline(size)

    def read(self, size: int) -> bytes:
        data = self._begin.read(size) or (self._piece * (size // len(self._piece) + 1))[:size]
        self.given += len(data)
        self.most = max(self.most, size)
        return data


lines = st.lists(
    st.one_of(st.binary(max_size=40), texts.map(str.encode), st.sampled_from(TOKENS)), max_size=8
)


@settings(max_examples=300, deadline=None)
@given(lines, st.sampled_from([b"\n", b"\r\n"]), st.integers(1, 50))
def test_a_command_is_a_line_as_it_is(some: list[bytes], end: bytes, size: int) -> None:
    """Against a second implementation, whatever the pieces in which the input comes."""
    data = end.join(some)

    class Pieces(io.BytesIO):
        def read(self, most: int | None = -1, /) -> bytes:
            return super().read(min(size, most or size))

    expected: list[str] | None = None
    with suppress(UnicodeDecodeError):
        whole = [line[:-1] if line.endswith("\r") else line for line in data.decode().split("\n")]
        if b"\0" not in data:
            expected = [line for line in whole if line.strip() and not line.strip().startswith("#")]
    try:
        found: list[str] | None = [*chain.from_iterable(read_lines(Pieces(data), "in"))]
    except InputError as error:
        one_line(error)
        found = None
    assert found == expected


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"", b"---\n", b"---\n- jid: "]),
    st.lists(st.sampled_from([*TOKENS, b"1\n", b"7"]), max_size=8),
)
def test_jids(begin: bytes, tokens: list[bytes]) -> None:
    try:
        for jid in read_jids(io.BytesIO(begin + b"".join(tokens)), "in"):
            assert type(jid) is int
            assert 0 < jid <= LARGEST_JID
    except InputError as error:
        one_line(error)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        texts,
        st.builds(
            lambda field, operator, value: f"{field}{operator}{value}",
            st.sampled_from([*LISTED_FIELDS, "zzz"]),
            st.sampled_from(["=", "!=", "=~", "!~", "=="]),
            texts,
        ),
    )
)
def test_conditions(text: str) -> None:
    said = ""
    try:
        for found in conditions.read(text) or []:
            assert found.field in LISTED_FIELDS
            assert found.operand is None or type(found.operand) in {str, int, float}
    except UsageError as error:
        said = str(error)
    assert said.isprintable()


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**5000, -(2**63) - 1, 2**63]),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=5),
    st.sampled_from(["a\0b", "\ud800", "\n", "/x\ny", "stdin/1", "stdin/../1", "data//1", "x" * 70_000]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5) | st.integers(), st.text(max_size=5) | st.integers(), max_size=2),
    st.just(eval("[" * 90 + "]" * 90)),  # noqa: S307 - a literal
)


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(JobSpec._fields, anything)))
def test_whatever_a_program_passes_to_the_api(fields: dict[str, Any]) -> None:
    given_spec = JobSpec(**{"command": "true", **fields})
    try:
        assert_sound(checked(given_spec, "in line 1"))
    except InputError as error:
        one_line(error)


def test_values_that_python_itself_cannot_print() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    for value in (10**5000, nested):
        with pytest.raises(InputError, match="too large to be shown"):
            spec_from_mapping({"command": "x", "priority": value})
    while nested:  # not all at once: a list in a list in a list is taken apart by recursion
        nested = nested.pop()


@pytest.mark.parametrize(
    "env", ["[" * 100_000, '{"A": ' * 100_000, "{", "[]", '{"A": [1]}', "1" * 5000, '{"A": NaN}']
)
def test_a_row_whose_env_somebody_else_has_written(env: str) -> None:
    """It can be listed in every format, and is told."""
    row = job(env=env)
    for write in (listing.write_yaml, listing.write_json, listing.write_jsonl, write_table):
        write([row], io.StringIO())
    assert document([row])
    assert "job 1: env: " in str(problem_of(row))
