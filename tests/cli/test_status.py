"""``rqpy status`` and ``--exit``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from rq_py import JobSpec, Queue
from rq_py.cli.status import parse_exit_maps
from rq_py.errors import UsageError
from tests.conftest import Rqpy


def test_status_in_both_formats(rqpy: Rqpy, queue_path: Path) -> None:
    Queue.create(queue_path).submit_many([JobSpec("a"), JobSpec("b", stage=True)])
    arguments = ["status", "--exit", "ok=42,43 not_found=127", "--exit", "ok=1"]
    text = rqpy(*arguments, queue=queue_path, check=True).stdout
    assert text.startswith(
        "---\njobs:\n  pending: 1\n  holding: 1\n  running: 0\n  finished: 0\n  dead: 0\n  total: 2\n"
    )
    found = yaml.safe_load(text)
    assert list(found) == ["jobs", "temporal", "performance", "exit_status"]
    assert found["exit_status"] == {"successes": 0, "failures": 0, "ok": 0, "not_found": 0}
    assert list(found["temporal"]["pending"]["min"]) == [1]
    as_json = json.loads(rqpy(*arguments, "-o", "json", queue=queue_path, check=True).stdout)
    assert as_json["jobs"] == found["jobs"]


def test_exit_maps() -> None:
    assert parse_exit_maps([]) == {}
    assert parse_exit_maps(["ok=42,43 not_found=127", "ok=1"]) == {"ok": [42, 43, 1], "not_found": [127]}


@pytest.mark.parametrize(
    "text", ["ok", "ok=", "=1", "ok=x", "ok=1,", "ok=256", "ok=-1", "successes=1", "a b=1"]
)
def test_exit_maps_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError, match="--exit"):
        parse_exit_maps([text])
