"""The parser of the wire: whatever comes in, it is a checked value or a ProtocolError."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rq_py.errors import ProtocolError
from rq_py.runner import protocol
from rq_py.runner.protocol import LineReader

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)

TAKERS = [
    protocol.take_int,
    protocol.take_seconds,
    protocol.take_bool,
    protocol.take_text,
    protocol.take_bytes,
    protocol.take_object,
    protocol.take_objects,
    protocol.take_argv,
    protocol.take_environment,
]


@given(st.binary(max_size=200))
def test_bytes_are_an_object_or_an_error(line: bytes) -> None:
    with suppress(ProtocolError):
        assert isinstance(protocol.decode(line), dict)


@pytest.mark.parametrize(
    "line", [b"", b"1", b"[]", b"{", b'{"a":NaN}', b'{"a":-Infinity}', b"\xff{}", b"[" * 10**5]
)
def test_what_is_no_json_object_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.decode(line)


@given(json_values)
def test_every_taker_checks_its_type(value: object) -> None:
    for take in TAKERS:
        try:
            taken = take({"x": value}, "x")
        except ProtocolError:
            continue
        assert taken is not None


@pytest.mark.parametrize(
    ("token", "fine"),
    [
        ("a.b", True),
        ("", False),
        ("x" * 128, True),
        ("x" * 129, False),
        ("é", False),
        ("a\n", False),
        (7, False),
    ],
)
def test_tokens(token: object, fine: bool) -> None:
    key = {"jid": 1, "attempt": 1, "token": token}
    if fine:
        assert protocol.take_key(key) == (1, 1, token)
    else:
        with pytest.raises(ProtocolError):
            protocol.take_key(key)


def test_texts_stand_for_bytes() -> None:
    assert protocol.take_bytes({"x": "é\udcff"}, "x") == b"\xc3\xa9\xff"
    for bad in ("\0", "\ud800"):
        with pytest.raises(ProtocolError):
            protocol.take_bytes({"x": bad}, "x")


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), st.integers(1, 7))
def test_lines_are_cut_right_wherever_the_pieces_end(lines: list[bytes], size: int) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    reader = LineReader()
    pieces = [stream[begin : begin + size] for begin in range(0, len(stream), size)]
    assert [line for piece in pieces for line in reader.feed(piece)] == lines


def test_an_endless_line_is_refused_whether_or_not_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_LINE", 100)
    assert list(LineReader().feed(b"x" * 100 + b"\n")) == [b"x" * 100]
    for data in (b"x" * 101, b"ok\n" + b"x" * 101 + b"\n"):
        with pytest.raises(ProtocolError, match="longer than 100"):
            list(LineReader().feed(data))


def test_batches_are_as_few_as_the_longest_line_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_LINE", 60)
    items = [json.dumps(number).encode() for number in range(40)]
    lines = list(protocol.encode_batches({"do": "x"}, "list", items))
    assert all(len(line) <= 61 for line in lines)
    found = [protocol.decode(line) for line in lines]
    assert all(message["do"] == "x" for message in found)
    assert [number for message in found for number in message["list"]] == list(range(40))  # type: ignore[attr-defined]
    assert list(protocol.encode_batches({"do": "x"}, "list", [])) == []
