"""The checks of one job, as the Python API meets them."""

from __future__ import annotations

import pytest

from rq_py.errors import InputError
from rq_py.formats.jobspec import is_variable_name, spec_from_mapping
from rq_py.job import JobSpec


def test_a_mapping_becomes_a_spec() -> None:
    fields = {
        "command": "make",
        "priority": 5,
        "tag": "nightly",
        "runner": "node1",
        "restartable": True,
        "stage": True,
        "cwd": "/work",
        "env": {"A": "b"},
        "stdin": "stdin/3",
        "data": "data/3",
    }
    assert spec_from_mapping(fields) == JobSpec(
        "make", 5, "nightly", "node1", True, True, "/work", {"A": "b"}, "stdin/3", "data/3"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"command": 42}, "job: command: 42 is not a text"),
        ({"command": None}, "job: the job has no command"),
        ({"command": ""}, "job: the command is blank"),
        ({"command": "a\udcff"}, "job: the command is not valid UTF-8"),
        ({"command": "a", "priority": True}, "job: priority: True is not a whole number"),
        ({"command": "a", "priority": 2**63}, "does not fit into 64 bits"),
        ({"command": "a", "priority": 1.0}, "job: priority: 1.0 is not a whole number"),
        ({"command": "a", "restartable": 1}, "job: restartable: 1 is neither true nor false"),
        ({"command": "a", "tag": 1}, "job: tag: 1 is not a text"),
        ({"command": "a", "tag": "\udcff"}, "job: tag: '\\udcff' is not valid UTF-8"),
        ({"command": "a", "env": {"A": 1}}, "job: env: A: 1 is not a text, quote it"),
        ({"command": "a", "env": {1: "a"}}, "job: env: 1 cannot be the name of a variable"),
        ({"command": "a", "env": ["A"]}, "job: env: ['A'] is not a mapping"),
        ({"command": "a", "env": {f"A{n}": "x" * 100_000 for n in range(11)}}, "at most 1048576 fit"),
        ({"command": "a", 7: 1}, "job: 7 is no field of a job"),
        ({"command": "a", "state": ["pending"]}, "is none of pending"),
        ({"command": "a", "x" * 10_000: 1}, "is no field"),
    ],
)
def test_a_value_that_is_wrong(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        spec_from_mapping(fields)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


def test_errors_say_where() -> None:
    with pytest.raises(InputError, match=r"^jobs\.yml line 3: the job has no command"):
        spec_from_mapping({}, "jobs.yml line 3")


def test_empty_texts_are_not_set() -> None:
    assert spec_from_mapping({"command": "a", "tag": "", "cwd": "", "stdin": ""}) == JobSpec("a")


def test_variables() -> None:
    variables = {"PATH": "/bin", "_x1": ""}
    assert spec_from_mapping({"command": "a", "env": variables}).env == variables
    assert [is_variable_name(name) for name in ("A", "_", "a1", "", "1a", "A-B", "é", "A B", "A\n")] == [
        *(True, True, True),
        *(False,) * 6,
    ]
    with pytest.raises(InputError, match="job: env: A: holds a NUL"):
        spec_from_mapping({"command": "a", "env": {"A": "\0"}}, "job")
