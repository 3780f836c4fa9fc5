"""``RQ_SQL_DEBUG``: the statements on stderr, and only there; without it none."""

from __future__ import annotations

import pytest

from rq_py import Queue
from tests.conftest import Rqpy


def test_statements_are_shown_on_stderr_one_line_each(rqpy: Rqpy, queue: Queue) -> None:
    plain = rqpy("query", "tag=important", queue=queue.path, check=True)
    shown = rqpy("query", "tag=important", queue=queue.path, env={"RQ_SQL_DEBUG": "1"}, check=True)
    assert plain.stderr == ""
    assert shown.stdout == plain.stdout
    lines = shown.stderr.splitlines()
    assert all(line.startswith("rqpy: sql: ") for line in lines)
    assert "rqpy: sql: BEGIN" in lines
    assert any("WHERE ( tag = 'important' )" in line for line in lines)  # with its parameters
    assert lines[-1] == "rqpy: sql: COMMIT"


@pytest.mark.parametrize("value", ["", "0"])
def test_it_can_be_switched_off(rqpy: Rqpy, queue: Queue, value: str) -> None:
    assert rqpy("list", queue=queue.path, env={"RQ_SQL_DEBUG": value}, check=True).stderr == ""
