"""A spool gives back what was put into it: from memory, from its file, as values and as JSON of SQLite."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rq_py.spool import ROWS_IN_MEMORY, TEXT_IN_MEMORY, Spool

VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
ROWS = st.lists(st.lists(VALUES, max_size=4), max_size=9)


def filled(rows: Sequence[Sequence[object]], *, is_encoded: bool) -> Spool:
    spool = Spool(rows_per_line=3, is_encoded=is_encoded)
    for row in rows:
        spool.append(json.dumps(row) if is_encoded else row)
    return spool


@pytest.mark.parametrize("is_encoded", [False, True])
@settings(deadline=None)
@given(rows=ROWS)
def test_rows_come_back_as_they_were(rows: list[list[object]], is_encoded: bool) -> None:
    spool = filled(rows, is_encoded=is_encoded)
    assert (len(spool), list(spool), list(spool)) == (len(rows), rows, rows)


@pytest.mark.parametrize("is_encoded", [False, True])
@settings(deadline=None, max_examples=25)  # each writes megabytes
@given(rows=ROWS, more=ROWS)
def test_rows_come_back_from_the_file_too_and_more_can_follow(
    rows: list[list[object]], more: list[list[object]], is_encoded: bool
) -> None:
    large: list[list[object]] = [["x" * (TEXT_IN_MEMORY + 1)], *rows]
    spool = filled(large, is_encoded=is_encoded)
    assert list(spool) == large
    for row in more:
        spool.append(json.dumps(row) if is_encoded else row)
    assert list(spool) == [*large, *more]


@pytest.mark.parametrize("is_encoded", [False, True])
def test_many_rows_come_back(is_encoded: bool) -> None:
    rows: list[list[object]] = [[number, "text"] for number in range(ROWS_IN_MEMORY + 7)]
    assert list(filled(rows, is_encoded=is_encoded)) == rows
