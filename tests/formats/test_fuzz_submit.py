"""Hostile input to a real queue: what is refused leaves no trace, what is taken comes out as it went in."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rq_py import Queue
from rq_py.errors import InputError, NotFound
from rq_py.formats.jobinput import read_jobs
from rq_py.formats.jobspec import CheckedSpec
from rq_py.formats.lineinput import read_lines
from tests.conftest import Rqpy, node_of_ones_own
from tests.formats.hostile import document, documents, each, mutated, mutations, specs
from tests.formats.jobs import AWKWARD, commands


def state_of(queue: Queue) -> tuple[object, ...]:
    """All that a refused submit must leave as it was."""
    return (
        queue.status()["jobs"]["total"],  # type: ignore[index]
        queue.store.generations.current().number,
        hashlib.sha256(queue.store.generations.current().database.read_bytes()).hexdigest(),
        sorted(str(path) for path in queue.path.rglob("*") if path.name != "lock"),
    )


@pytest.fixture(scope="module")
def module_queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    with node_of_ones_own("t") as node, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RQ_NODE", node)
        yield Queue.create(tmp_path_factory.mktemp("fuzz") / "q")


@settings(max_examples=40, deadline=None)
@given(st.lists(specs, max_size=3), documents, mutations)
def test_a_refused_submit_changes_nothing(
    module_queue: Queue, good: list[CheckedSpec], data: bytes, changes: list[tuple[float, str, bytes]]
) -> None:
    """Jobs before the one that is wrong are not submitted either."""
    before = state_of(module_queue)
    data = b"---\n" + b"".join(_item(spec) for spec in good) + mutated(data, changes)
    submitted = 0
    with suppress(InputError, NotFound):  # NotFound: it names the stdin or data of a job that is not there
        submitted = len(module_queue.submit_alike(read_jobs(io.BytesIO(data), "in")))
    if submitted:
        assert submitted >= len(good)
    else:
        assert state_of(module_queue) == before


def _item(spec: CheckedSpec) -> bytes:
    """One job of a list, in YAML's own words."""
    fields = {name: value for name, value in spec._asdict().items() if value not in (None, {}, False)}
    return yaml.safe_dump([{**fields, "env": dict(spec.env)}], allow_unicode=True).encode()


@settings(max_examples=40, deadline=None)
@given(st.lists(specs, min_size=1, max_size=5), st.booleans(), st.booleans())
def test_what_goes_in_comes_out(
    module_queue: Queue, given_specs: list[CheckedSpec], unicode: bool, flow: bool
) -> None:
    """From YAML that another program wrote, through the queue, to YAML that any program reads."""
    written = [{**spec._asdict(), "env": dict(spec.env)} for spec in given_specs]
    text = "---\n" + yaml.safe_dump(written, allow_unicode=unicode, default_flow_style=flow)
    for wanted, said in zip(written, yaml.safe_load(text), strict=True):  # PyYAML writes '0\x85' as '0 '
        assume(all(said[name] == wanted[name] for name in ("command", "tag", "cwd", "env")))
    submitted = module_queue.submit_alike(read_jobs(io.BytesIO(text.encode()), "in"))
    stored = [module_queue.job(submitted.first_jid + position) for position in range(len(submitted))]
    printed = document(stored)
    for spec, fields in zip(given_specs, yaml.safe_load(printed.decode()), strict=True):
        assert fields["command"] == spec.command
        assert fields["priority"] == spec.priority
        assert fields.get("tag") == spec.tag
        assert fields.get("restartable", False) is spec.restartable
        assert fields["state"] == ("holding" if spec.stage else "pending")
        assert fields.get("cwd") == spec.cwd
        assert fields.get("env", {}) == spec.env
    again = each(read_jobs(io.BytesIO(printed), "in"))
    assert [spec._replace(env=dict(spec.env)) for spec in again] == given_specs


@settings(max_examples=30, deadline=None)
@given(st.lists(commands.filter(lambda text: "\n" not in text), min_size=1, max_size=20))
def test_lines_that_go_in_come_out(module_queue: Queue, some: list[str]) -> None:
    data = "".join(f"{command}\n" for command in some).encode()
    wanted = [*chain.from_iterable(read_lines(io.BytesIO(data), "in"))]  # not those that are comments
    if wanted:
        submitted = module_queue.submit_alike(read_jobs(io.BytesIO(b"true\n" + data), "in"))
        first = submitted.first_jid
        stored = [module_queue.job(first + position).command for position in range(len(submitted))]
        assert stored == [job.command for job in submitted] == ["true", *wanted]


def test_every_awkward_line_on_the_command_line(rqpy: Rqpy, queue_path: Path) -> None:
    """Many at once, as another way into the database may take them."""
    queue = Queue.create(queue_path)
    some = [f"{text} {number}" for number, text in enumerate(AWKWARD) if not {"\n", "\0"} & set(text)]
    some = [line for line in some if not line.lstrip().startswith("#")]
    lines = "".join(f"{line}\n" for line in ["true", *some])
    printed = rqpy("submit", "-", queue=queue_path, stdin=lines, check=True).stdout
    assert [job["command"] for job in yaml.safe_load(printed)] == ["true", *some]
    assert [job.command for job in queue.jobs()] == ["true", *some]


HOSTILE = [
    b"\0",
    b"\xff\xfe",
    b"ok\n\xff\n",
    b"---\n- command: ok\n- !!python/object/apply:os.system ['touch ran']\n",
    b"---\n- command: !%C0%80 x\n",
    b"---\n- command: ok\n- command: \x01\n",
    b"---\n" + b"[" * 10_000,
    b"---\na: &a [x]\nb: [*a, *a]\n",
    b"---\n- command: ok\n  stdin: ../../x\n",
    b"---\n- command: ok\n  data: /etc/passwd\n",
    b"---\n- command: ok\n  \x1b[2J\xe2\x80\xae: x\n",
    b"x" * 70_000,
    b'{"command": "ok"}',
]


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: repr(data)[:30])
def test_on_the_command_line(rqpy: Rqpy, queue_path: Path, data: bytes) -> None:
    before = state_of(Queue.create(queue_path))
    done = rqpy("submit", "-", queue=queue_path, stdin=data)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(r"rqpy: stdin line [0-9]+( or after it)?: ", done.stderr)
    assert done.stderr.endswith("\n")
    assert done.stderr[:-1].isprintable()
    assert state_of(Queue(queue_path)) == before


@pytest.mark.parametrize(
    "arguments",
    [["echo \udcff"], ["--tag", "\udcff", "true"], ["--tag", "a\nb", "true"], ["--env", "A=\udcff", "true"]],
)
def test_words_of_the_command_line_that_are_no_text(
    rqpy: Rqpy, queue_path: Path, arguments: list[str]
) -> None:
    before = state_of(Queue.create(queue_path))
    done = rqpy("submit", *arguments, queue=queue_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr[:-1].isprintable()
    assert "internal error" not in done.stderr
    assert state_of(Queue(queue_path)) == before


@pytest.mark.parametrize("kind", ["stdin", "data"])
@pytest.mark.parametrize(
    "reference",
    [
        "/etc/passwd", "../../secret", "{kind}/../../secret", "{kind}/1/../../../secret", "{kind}/./1",
        "{kind}//1", "{other}/1", "{kind}/01", "{kind}/1/", "{kind}/1 ", "{kind}/", "{kind}", "{kind}/1\\0",
        "{kind}/١", "{kind}/99999999999999999999", "../secret", "~/secret",
        "$HOME/secret", "queue.yml", "db.1/queue.db",
    ],
)  # fmt: skip
def test_a_stream_of_a_document_is_one_of_the_queues_own(queue_path: Path, kind: str, reference: str) -> None:
    (queue_path.parent / "secret").write_text("secret")
    queue = Queue.create(queue_path)
    queue.submit("true", stdin=b"x", data=queue_path.parent / "secret")
    before = state_of(queue)
    named = reference.format(kind=kind, other="data" if kind == "stdin" else "stdin")
    document = f'---\n- command: "true"\n- command: cat\n  {kind}: "{named}"\n'
    with pytest.raises(InputError, match=f"in line 3: {kind}: .* is not {kind}/JID of the same queue"):
        queue.submit_alike(read_jobs(io.BytesIO(document.encode()), "in"))
    assert state_of(queue) == before


@pytest.mark.parametrize("kind", ["stdin", "data"])
@pytest.mark.parametrize("trap", ["symlink", "symlink to a folder", "dangling symlink", "fifo"])
def test_what_somebody_has_put_in_the_place_of_a_stream_is_not_followed(
    queue_path: Path, kind: str, trap: str
) -> None:
    """Nor waited for: a fifo would be read for ever."""
    (queue_path.parent / "secret").write_text("secret")
    queue = Queue.create(queue_path)
    place = queue_path / kind / "1"
    if trap == "fifo":
        os.mkfifo(place)
    else:
        targets = {"symlink": "secret", "symlink to a folder": ".", "dangling symlink": "nothing"}
        place.symlink_to(queue_path.parent / targets[trap])
    before = state_of(queue)
    document = f"---\n- command: cat\n  {kind}: {kind}/1\n"
    with pytest.raises(InputError, match=f"{kind}/1: is"):
        queue.submit_alike(read_jobs(io.BytesIO(document.encode()), "in"))
    assert state_of(queue) == before
