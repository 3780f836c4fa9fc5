"""Scalars: for every value, both parsers of PyYAML read back the value that was written."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rq_py.formats import scalars, yamldoc
from tests.formats.jobs import AWKWARD, texts

LOADERS = [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)]


def read(document: str) -> list[object]:
    """What each parser reads."""
    return [yaml.load(document, Loader=loader) for loader in LOADERS]


@given(texts)
def test_every_text_is_read_back(text: str) -> None:
    document = f"a:\n  {scalars.key(text)} {scalars.text(text)}\n".replace("\n:", "\n  :")
    assert read(document) == [{"a": {text: text}}] * 2


@pytest.mark.parametrize("text", AWKWARD, ids=ascii)
def test_every_awkward_text_is_read_back(text: str) -> None:
    assert read(f"- {scalars.text(text)}\n- {scalars.quoted(text)}\n") == [[text, text]] * 2


@given(texts)
def test_a_text_is_one_printable_line(text: str) -> None:
    assert scalars.text(text).isprintable()


@pytest.mark.parametrize(
    "text", ["ls -la", "/bin/ls", "./x", "00h00m12.30s", "node7", "3hosts", "a:b", "a#b", "sleep 1; echo 'x'"]
)
def test_what_needs_no_quotes_has_none(text: str) -> None:
    assert scalars.text(text) == text


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert read(f"- {scalars.text('a' + chr(0xDC80))}\n") == [["a\ufffd"]] * 2


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_numbers_are_read_back(value: float) -> None:
    for found in read(f"- {scalars.number(value)}\n"):
        assert isinstance(found, list)
        assert type(found[0]) is type(value)
        assert math.isclose(found[0], value, abs_tol=5e-7)


def test_numbers_that_are_none_are_read_back() -> None:
    for found in read("".join(f"- {scalars.number(float(text))}\n" for text in ("nan", "inf", "-inf"))):
        assert isinstance(found, list)
        assert math.isnan(found[0])
        assert found[1:] == [math.inf, -math.inf]


def test_only_what_looks_like_a_time_is_written_as_one() -> None:
    assert scalars.time("2026-11-20 15:06:49.514387Z") == "2026-11-20 15:06:49.514387Z"
    assert scalars.time("2026-11-20\nx: y") == '"2026-11-20\\nx: y"'
    assert scalars.time("2026-11-20 15:06:49.51438７Z")[0] == '"'


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers() | texts, inner, max_size=4),
    max_leaves=12,
)


@given(documents)
def test_every_nested_document_is_read_back(value: object) -> None:
    assert read(yamldoc.dump(value)) == [value] * 2


def test_a_document_looks_like_rqs() -> None:
    status = {
        "jobs": {"pending": 3},
        "temporal": {"pending": {"min": {17: "00h00m12.30s"}}},
        "none": {},
        "l": [],
    }
    assert yamldoc.dump(status) == (
        "---\njobs:\n  pending: 3\ntemporal:\n  pending:\n    min:\n      17: 00h00m12.30s\nnone: {}\nl: []\n"
    )
    assert yamldoc.dump([{"jid": 1}, [2], []]) == "---\n-\n  jid: 1\n-\n  - 2\n- []\n"
    assert yamldoc.dump({}) == "--- {}\n"
    assert yamldoc.dump(None) == "--- null\n"


def test_a_very_long_key_is_read_back() -> None:
    value = {"k" * 5000: {"é" * 2000: 1, "b": [2]}, "c": 3}
    assert read(yamldoc.dump(value)) == [value] * 2
