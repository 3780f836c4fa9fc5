"""Flat documents: whatever the small reader accepts, PyYAML reads as the same."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rq_py.formats import flat

#: Pieces that make documents which are nearly flat, and all characters that YAML treats in its own way.
WRITTEN = (
    r"a key key:_value k: k:_ k:__v :_ _ __ # #_c --- ---_ ... - -_ ? ?_ @ , = ~ ! &a *a | > % ` ' { } [ ] :"
)
PLAIN = "ü null yes 1 1.5 0x1 2026-11-20 1:30 << /usr/bin a_b a__b x_#y x:y x:_y"
ODD = [
    "\t",
    "\n",
    "\n\n",
    '"',
    "\r",
    "\x85",
    "\u2028",
    "\u2029",
    "\ufeff",
    "\x00",
    "\x07",
    "\x7f",
    "\xa0",
    "\ud800",
]
PIECES = st.sampled_from([*(piece.replace("_", " ") for piece in (WRITTEN + " " + PLAIN).split()), *ODD])
DOCUMENTS = st.one_of(
    st.lists(PIECES, max_size=12).map("".join),
    st.lists(
        st.tuples(st.sampled_from("abc"), PIECES, PIECES).map(lambda t: f"{t[0]}: {t[1]}{t[2]}\n"), max_size=4
    ).map("".join),
    st.text(max_size=30),
)


@given(DOCUMENTS)
@settings(max_examples=3000, deadline=None)
@example("a: b\t")
@example("a:\t")
@example("\t\na: b")
@example("# x\u2028b: c\n")
@example("# x\x85b: c\n")
@example("# \x07\n")
@example("---\n# c\na: b\n\nb: c d \n")
def test_what_flat_accepts_yaml_reads_as_the_same(text: str) -> None:
    found = flat.parse(text)
    if found is not None:
        assert (yaml.load(text, yaml.BaseLoader) or {}) == found


WORDS = st.text(st.sampled_from("abcXYZ0189_./+@,=~- \n:#'\"é\t"), max_size=8) | st.sampled_from(
    ["", "-", "--", "---x", "~", "=", "==", "null", "yes", "...", "-1", "- a", "a -", " a", "a "]
)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True), WORDS, max_size=4))
@settings(max_examples=1000, deadline=None)
def test_what_is_emitted_both_read_back(values: dict[str, str]) -> None:
    try:
        text = flat.emit(values)
    except ValueError:
        return
    assert flat.parse(text) == values
    assert (yaml.load(text, yaml.BaseLoader) or {}) == values


@pytest.mark.parametrize(
    "value", ["bash", "/bin/bash", "60", "0.5", "a b", "1e5", "x-y", "a=b", "user@host", "", "~/x"]
)
def test_ordinary_values_are_emitted(value: str) -> None:
    assert flat.parse(flat.emit({"key": value})) == {"key": value}


@pytest.mark.parametrize("value", ["a\nb: c", "a: b", "a #b", "'", "- a", "ü", "\0", " a", "a  b", "a "])
def test_what_would_need_quotes_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="key"):
        flat.emit({"key": value})


@pytest.mark.parametrize(
    "text", ["a: b\na: c\n", "a: {b: c}", "a: 'b'", " a: b", "a:b", "a", "A: b", "a: b\n---\n"]
)
def test_more_than_flat_is_left_to_a_parser(text: str) -> None:
    assert flat.parse(text) is None
