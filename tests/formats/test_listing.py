"""Listings: the shape of the seed article, the same values in every format, all streamed."""

from __future__ import annotations

import io
import json
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rq_py.errors import UsageError
from rq_py.formats import listing
from rq_py.formats.table import write_table
from rq_py.job import LISTED_FIELDS, Job, State
from tests.formats.jobs import job, jobs
from tests.formats.test_scalars import read

SEED = """\
---
-
  jid: 2
  priority: 42
  state: finished
  submitted: 2004-11-12 17:37:10.312094Z
  started: 2004-11-12 17:37:13.132700Z
  finished: 2004-11-12 17:37:13.739824Z
  elapsed: 0.607124
  submitter: redfish
  runner: bluefish
  stdout: stdout/2
  stderr: stderr/2
  pid: 5477
  exit_status: 0
  attempt: 1
  tag: important
  command: sleep 0 && echo $HOME
"""

seed_job = job(
    jid=2,
    priority=42,
    state=State.FINISHED,
    started="2004-11-12 17:37:13.132700Z",
    finished="2004-11-12 17:37:13.739824Z",
    elapsed=0.607124,
    runner="bluefish",
    pid=5477,
    exit_status=0,
    attempt=1,
    tag="important",
    command="sleep 0 && echo $HOME",
)


def yaml_of(*some: Job, fields: tuple[str, ...] | None = None) -> str:
    out = io.StringIO()
    assert listing.write_yaml(some, out, fields) == len(some)
    return out.getvalue()


def expected(value: listing.Value) -> object:
    """A listed value as a YAML parser gives it: texts that are times are times."""
    if isinstance(value, str) and value.endswith("Z"):
        try:
            return datetime.strptime(value, "%Y-%m-%d %H:%M:%S.%fZ").replace(tzinfo=UTC)
        except ValueError:
            return value
    return value


def test_a_listing_is_the_seed_articles() -> None:
    assert yaml_of(seed_job) == SEED


def test_no_jobs_are_an_empty_list() -> None:
    assert yaml_of() == "--- []\n"
    for writer, text in ((listing.write_json, "[]\n"), (listing.write_jsonl, "")):
        out = io.StringIO()
        assert writer([], out) == 0
        assert out.getvalue() == text


@given(st.lists(jobs, max_size=3), st.none() | st.lists(st.sampled_from(LISTED_FIELDS), unique=True))
def test_every_parser_reads_the_values_that_were_listed(some: list[Job], names: list[str] | None) -> None:
    fields = None if names is None else listing.chosen_fields(names)
    out = io.StringIO()
    listing.write_yaml(some, out, fields)
    times = ("submitted", "started", "finished")
    values = [
        {
            name: expected(value) if name in times else value
            for name, value in listing.fields_of(one, fields).items()
        }
        for one in some
    ]
    for found in read(out.getvalue()):
        assert isinstance(found, list)
        assert found == values
        assert [list(one) for one in found] == [list(one) for one in values]  # the order as well


@given(st.lists(jobs, max_size=3), st.none() | st.lists(st.sampled_from(LISTED_FIELDS), unique=True))
def test_json_has_the_same_values(some: list[Job], names: list[str] | None) -> None:
    fields = None if names is None else listing.chosen_fields(names)
    one_list, lines = io.StringIO(), io.StringIO()
    listing.write_json(some, one_list, fields)
    listing.write_jsonl(some, lines, fields)
    found = json.loads(one_list.getvalue())
    assert found == [json.loads(line) for line in lines.getvalue().split("\n")[:-1]]
    assert found == [listing.fields_of(one, fields) for one in some]
    assert one_list.getvalue().isascii()


def test_a_field_that_is_not_set_is_left_out_unless_named() -> None:
    assert yaml_of(job()) == (
        "---\n-\n  jid: 1\n  priority: 0\n  state: pending\n  submitted: 2004-11-12 17:37:10.312094Z\n"
        '  submitter: redfish\n  command: "true"\n'
    )
    named = ("jid", "elapsed", "stdin", "exit_status", "attempt", "tag", "restartable", "env")
    assert yaml_of(job(), fields=named) == (
        "---\n-\n  jid: 1\n  elapsed: null\n  stdin: null\n  exit_status: null\n  attempt: 0\n  tag: null\n"
        "  restartable: false\n  env: null\n"
    )
    assert yaml_of(job(exit_status=0, elapsed=0.0), fields=("elapsed", "exit_status")) == (
        "---\n-\n  elapsed: 0.000000\n  exit_status: 0\n"
    )


def test_streams_are_listed_once_they_are_there() -> None:
    waiting = listing.fields_of(job(jid=7, has_stdin=True, has_data=True))
    assert (waiting["stdin"], waiting["data"]) == ("stdin/7", "data/7")
    assert not waiting.keys() & {"stdout", "stderr"}
    running = listing.fields_of(job(jid=7, started="2004-11-12 17:37:13.132700Z"))
    assert (running["stdout"], running["stderr"]) == ("stdout/7", "stderr/7")


def test_the_variables_are_nested() -> None:
    text = yaml_of(job(env='{"A": "1", "B": "x y"}'), fields=("env", "jid"))
    assert text == '---\n-\n  jid: 1\n  env:\n    A: "1"\n    B: x y\n'
    assert listing.fields_of(job(env="not json"))["env"] == "not json"
    assert listing.fields_of(job(env="[1]"))["env"] == "[1]"


def test_fields_come_in_the_order_of_a_listing() -> None:
    assert listing.chosen_fields(["command, jid", "tag"]) == ("jid", "tag", "command")
    assert list(listing.fields_of(job(), ["command", "jid"])) == ["jid", "command"]
    with pytest.raises(UsageError, match="comand: no such field, there are jid"):
        listing.chosen_fields(["jid,comand"])


@pytest.mark.parametrize("write", [listing.write_yaml, listing.write_json, listing.write_jsonl, write_table])
def test_a_listing_streams(write: object) -> None:
    """The memory does not grow with the number of jobs."""

    class Sink:
        written = 0

        def write(self, text: str) -> None:
            self.written += len(text)

    def many(count: int) -> Iterator[Job]:
        return (seed_job._replace(jid=jid, tag=f"t{jid}", command=f"sleep {jid}") for jid in range(1, count))

    sink = Sink()
    write(many(2000), sink)  # type: ignore[operator]
    tracemalloc.start()
    try:
        write(many(2000), sink)  # type: ignore[operator]
        few = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        write(many(12000), sink)  # type: ignore[operator]
        many_more = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sink.written > 1_000_000
    assert many_more < few * 1.5 + 200_000


def test_it_is_at_least_twenty_times_as_fast_as_the_pure_dumper() -> None:
    some = [seed_job._replace(jid=jid) for jid in range(300)]
    values = [listing.fields_of(one) for one in some]

    def seconds(work: object) -> float:
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            work()  # type: ignore[operator]
            best = min(best, time.process_time() - start)
        return best

    ours = seconds(lambda: listing.write_yaml(some, io.StringIO()))
    theirs = seconds(lambda: yaml.dump(values, Dumper=yaml.SafeDumper))
    assert ours * 20 < theirs


def test_a_table_is_aligned() -> None:
    out = io.StringIO()
    some = [seed_job, job(jid=10, tag="日本", command="printf 'a\x1b[31m\n'"), job(jid=11, tag="x")]
    assert write_table(some, out, ("jid", "state", "tag", "command")) == 3
    assert out.getvalue().split("\n") == [
        "jid  state     tag        command",
        "  2  finished  important  sleep 0 && echo $HOME",
        " 10  pending   日本       printf 'a\\x1b[31m\\n'",
        " 11  pending   x          true",
        "",
    ]


def test_a_table_without_jobs_has_its_header() -> None:
    out = io.StringIO()
    write_table([], out)
    assert out.getvalue() == "jid  priority  state  elapsed  runner  exit_status  tag  command\n"
