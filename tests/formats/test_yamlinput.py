"""Jobs as YAML: every value survives, hostile documents do not, and a long list streams."""

from __future__ import annotations

import gc
import io
import tracemalloc
from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rq_py.errors import InputError
from rq_py.formats import listing
from rq_py.formats.jobinput import read_yaml
from rq_py.formats.yamlinput import MAX_JOB_BYTES
from rq_py.job import Job, JobSpec, State
from tests.formats.jobs import AWKWARD, commands, job, jobs

pytestmark = pytest.mark.usefixtures("parser")


def read(text: str | bytes) -> list[JobSpec]:
    stream = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    return [alike.spec for alike in read_yaml(stream, "in")]


def error(text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith("in")
    assert len(message) < 700
    return message


def listed(*some: Job, fields: tuple[str, ...] | None = None) -> str:
    out = io.StringIO()
    listing.write_yaml(some, out, fields)
    return out.getvalue()


def resubmitted(one: Job) -> JobSpec:
    """What a submit of the listing of a job asks for."""
    return JobSpec(
        command=one.command,
        priority=one.priority,
        tag=one.tag or None,
        key=one.key or None,
        kind=one.kind,
        required_runner=one.required_runner or None,
        restartable=one.restartable,
        stage=one.state == State.HOLDING,
        cwd=one.cwd or None,
        env=dict(listing.fields_of(one).get("env") or {}),  # type: ignore[arg-type]
        stdin=f"stdin/{one.jid}" if one.has_stdin else None,
        data=f"data/{one.jid}" if one.has_data else None,
    )


@given(st.lists(jobs, max_size=3))
def test_every_listing_can_be_submitted_and_asks_for_the_same_jobs(parser: str, some: list[Job]) -> None:
    assert read(listed(*some)) == [resubmitted(one) for one in some]


@given(commands)
def test_every_command_survives(parser: str, command: str) -> None:
    for dump in (
        listed(job(command=command)),
        "---\n" + yaml.safe_dump([{"command": command}]),
        "---\n" + yaml.safe_dump([{"command": command}], default_flow_style=True, width=20),
    ):
        assert [spec.command for spec in read(dump)] == [command]


@pytest.mark.parametrize(
    "text", ["42", "yes", "2004-11-12", "1.5", "0x1f", "017", "true", "12:30:45", "1_000", ".inf"]
)
def test_a_text_is_what_was_written_whatever_it_looks_like(text: str) -> None:
    (spec,) = read(f"---\n- command: {text}\n  tag: {text}\n  env:\n    A: {text}\n")
    assert spec == JobSpec(text, tag=text, env={"A": text})


@pytest.mark.parametrize("name", ["a/b", "", ".a", "x" * 65, "a b"])
def test_a_required_runner_is_a_name_that_a_node_can_have(name: str) -> None:
    if name:
        assert "is no name that a node can have" in error(f"---\n- command: a\n  runner: {name}\n")
    else:
        assert read("---\n- {command: a, runner: ''}\n") == [JobSpec("a")]


def test_a_list_a_mapping_and_several_documents() -> None:
    assert [spec.command for spec in read("---\n- command: a\n- command: b\n")] == ["a", "b"]
    assert [spec.command for spec in read("---\ncommand: a\n")] == ["a"]
    text = "---\n- command: a\n---\ncommand: b\n---\n--- []\n...\n---\n- {command: c}\n"
    assert [spec.command for spec in read(text)] == ["a", "b", "c"]


def test_block_scalars_are_multi_line_commands() -> None:
    (spec,) = read(
        "---\n- command: |\n    for x in 1 2; do\n      echo $x\n    done\n  tag: >-\n    a\n    b\n"
    )
    assert spec.command == "for x in 1 2; do\n  echo $x\ndone\n"
    assert spec.tag == "a b"


def test_what_the_queue_wrote_is_left_behind() -> None:
    text = """---
-
  jid: 2
  priority: 42
  state: finished
  submitted: 2004-11-12 17:37:10.312094Z
  started: 2004-13-45 99:99:99
  finished: 2004-11-12
  elapsed: 0.607124
  submitter: redfish
  runner: bluefish
  stdout: stdout/2
  stderr: ../../etc/passwd
  pid: 5477
  exit_status: 0
  signal: 9
  reason: x
  attempt: 3
  user_cpu: 1
  max_rss: 5
  tag: important
  restartable: true
  command: true
"""
    assert read(text) == [JobSpec("true", priority=42, tag="important", restartable=True)]


def test_without_a_jid_the_runner_is_required() -> None:
    assert read("---\n- {command: a, runner: n}\n- {jid: 1, command: a, runner: n}\n") == [
        JobSpec("a", required_runner="n"),
        JobSpec("a"),
    ]
    assert read("---\n- {jid: 1, command: a, runner: n, required_runner: m}\n") == [
        JobSpec("a", required_runner="m")
    ]
    assert "contradicts" in error("---\n- {command: a, runner: n, required_runner: m}\n")


def test_holding_means_stage() -> None:
    assert [
        spec.stage for spec in read("---\n- {command: a, state: holding}\n- {command: a, state: dead}\n")
    ] == [
        True,
        False,
    ]
    assert "'done' is none of pending" in error("---\n- {command: a, state: done}\n")


@pytest.mark.parametrize("null", ["", "~", "null", "Null", "NULL"])
def test_a_null_is_not_set(null: str) -> None:
    fields = "".join(
        f"  {name}: {null}\n" for name in ("jid", "tag", "priority", "restartable", "env", "stdin")
    )
    assert read(f"---\n- command: a\n{fields}") == [JobSpec("a")]
    assert "has no command" in error(f"---\n- command: {null}\n")
    assert read("---\n- command: 'null'\n") == [JobSpec("null")]


def test_an_unset_field_named_in_a_listing_is_unset_again() -> None:
    assert read(listed(job(), fields=("jid", "tag", "restartable", "stdin", "env", "command"))) == [
        JobSpec("true")
    ]


@pytest.mark.parametrize("number", ["0", "-7", "+5", "9223372036854775807", "-9223372036854775808"])
def test_priorities(number: str) -> None:
    assert read(f"---\n- command: a\n  priority: {number}\n")[0].priority == int(number)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("priority: high", "priority: 'high' is not a whole number, write it like `priority: 5`"),
        ("priority: yes", "priority: 'yes' is not a whole number"),
        ("priority: 1.5", "priority: '1.5' is not a whole number"),
        ("priority: '5'", "priority: '5' is not a whole number"),
        ("priority: 010", "priority: '010' is not a whole number"),
        ("priority: 9223372036854775808", "does not fit into 64 bits"),
        ("priority: " + "9" * 5000, "priority: '999"),
        ("priority: [1]", "'priority': a list, not a single value"),
        ("restartable: maybe", "restartable: 'maybe' is neither true nor false"),
        ("restartable: 'true'", "restartable: 'true' is neither true nor false"),
        ("restartable: 1", "restartable: '1' is neither true nor false"),
        ("comand: a", "'comand' is no field of a job, did you mean command?"),
        ("zzz: a", "'zzz' is no field of a job, there are jid priority"),
        ("tag: 1\n  tag: 2", "in line 4: 'tag' is given twice"),
        ("tag: {a: b}", "'tag': a mapping, not a single value"),
        ('tag: "a\\nb"', "tag: 'a\\nb' holds a NUL byte or a newline"),
        ('cwd: "/a\\0b"', "cwd: '/a\\x00b' holds a NUL byte or a newline"),
        ("cwd: relative/path", "cwd: 'relative/path' is not an absolute path"),
        ("tag: " + "x" * 5000, "tag: is longer than 4096 bytes"),
        (
            "stdin: /etc/passwd",
            "stdin: '/etc/passwd' is not stdin/JID of the same queue; --stdin takes a file",
        ),
        ("stdin: stdin/../../x", "is not stdin/JID"),
        ("stdin: stdin/0", "is not stdin/JID"),
        ("stdin: stdin/1/2", "is not stdin/JID"),
        ("stdin: data/1", "is not stdin/JID"),
        ("data: data/٣", "is not data/JID"),
        ("env: x", "env: 'x' is not a mapping"),
        ("env: {A-B: x}", "env: 'A-B' cannot be the name of a variable"),
        ("env: {A: [x]}", "env: 'A': a list, not a text"),
        ("env: {A: null}", "env: A: None is not a text, quote it"),
        ("env: {A: 1, A: 2}", "'A' is given twice"),
        ('env: {A: "x\\0"}', "env: A: holds a NUL byte"),
        ("env: {A: " + "x" * 140_000 + "}", "env: A: is longer than"),
        (
            "tag: !!python/object:os.system x",
            "the tag 'tag:yaml.org,2002:python/object:os.system' is not read",
        ),
        ("tag: !x y", "the tag '!x' is not read, leave it out"),
        ("tag: *a", "in line 3: 'tag': the alias *a is not read, write the value out"),
        ("? [a]\n  : b", "a list, where the name of a field must stand"),
        ("<<: {a: b}", "'<<': a mapping, not a single value"),
        ("tag: 'open", "is not YAML in UTF-8: "),
        ("\ttag: x", "is not YAML in UTF-8: "),
        ("tag: a: b", "is not YAML in UTF-8: mapping values are not allowed"),
    ],
)
def test_a_field_that_is_wrong(line: str, message: str) -> None:
    assert message in error(f"---\n- command: a\n  {line}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("---\n- priority: 1\n", "in line 2: the job has no command, add `command: ...`"),
        ("---\n- command: ' '\n", "in line 2: the command is blank"),
        ("---\n- ls -l\n", "in line 2: the text 'ls -l', not a job with `command: ...`"),
        ("---\n- [a]\n", "in line 2: a list, not a job"),
        ("---\nls -l\n", "in line 2: the text 'ls -l', not a list of jobs"),
        ("---\n- command: a\n- *x\n", "in line 3: the alias *x is not read"),
        ("--- !!set\n- command: a\n", "the tag"),
        ("---\n- !!map {command: a}\n", "the tag"),
        ("---\n- command: [a, b]\n", "'command': a list, not a single value"),
        ('---\n- command: "a\\0b"\n', "in line 2: the command holds a NUL byte"),
        (
            "---\n- command: " + "x" * 65537 + "\n",
            "the command has 65537 bytes, at most 65536 fit: put it into a script",
        ),
        (b"---\n- command: \xff\xfe\n", "is not YAML in UTF-8"),
        (b"---\n- command: a\0b\n", "is not YAML in UTF-8"),
        ("---\n" + "[" * 100_000, "a list, not a job"),
        ("---\n" + "- " * 10_000 + "a", "a list, not a job"),
        ("---\n" + "{a: " * 10_000, "not a single value"),
        ("---\n- command: a\n - b\n", "is not YAML"),
        ("--- {command: a, env: {A: {B: {C: d}}}}\n", "env: 'A': a mapping, not a text"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_document_that_is_wrong(text: str | bytes, message: str) -> None:
    assert message in error(text)


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    lines = ["---", "a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "'a0': a list, not a single value" in error("\n".join(lines))


@pytest.mark.parametrize(
    "opening",
    ["- command: 'x", "- command: ", "- command: |\n    ", "- command: x\n  env: {A: x", "- command: x # "],
)
def test_a_value_without_end_does_not_fill_the_memory(parser: str, opening: str) -> None:
    class Endless:
        read_bytes = 0

        def read(self, size: int) -> bytes:
            if not self.read_bytes:
                self.read_bytes = 1
                return f"---\n{opening}".encode()
            self.read_bytes += 65536
            return b"x" * 65536

    endless = Endless()
    with pytest.raises(InputError, match=r"a single job is longer than|is not YAML"):
        list(read_yaml(endless, "in"))
    assert endless.read_bytes < MAX_JOB_BYTES + 2_000_000


def test_a_list_is_streamed(parser: str) -> None:
    """The jobs come out while the rest of the list has not been read, and the memory does not grow."""
    count = 30_000 if parser == "C" else 6_000  # Python itself keeps up to 2,000 tuples of each length
    item = b"- command: echo a command of some length, repeated\n  tag: x\n  env: {A: b}\n"

    class Source:
        left = count
        given = 0

        def read(self, size: int) -> bytes:
            if not self.given:
                self.given = 1
                return b"---\n"
            items = min(self.left, max(1, size // len(item)))
            self.left -= items
            self.given += items
            return item * items

    def peak_at(source: Source) -> Iterator[int]:
        for number, _ in enumerate(read_yaml(source, "in")):
            if number in (count * 2 // 3, count - 1):
                assert source.given - number < 10_000
                yield tracemalloc.get_traced_memory()[1]

    # What the tests before have left alive would put off the collection of what is garbage here.
    gc.collect()
    gc.freeze()
    tracemalloc.start()
    try:
        early, late = peak_at(Source())
    finally:
        tracemalloc.stop()
        gc.unfreeze()
    assert late < early * 1.2 + 100_000


def test_utf_16_is_refused() -> None:
    """The parsers would decode it; but a pipe of rqpy is UTF-8, and the limits count bytes."""
    from rq_py.formats.jobinput import read_jobs

    with pytest.raises(InputError, match="is UTF-16"):
        list(read_jobs(io.BytesIO("---\n- command: ls\n".encode("utf-16")), "in"))


@pytest.mark.parametrize("text", AWKWARD, ids=ascii)
def test_every_awkward_command_survives_a_listing(text: str) -> None:
    command = text.replace("\0", "") + "x"
    assert [spec.command for spec in read(listed(job(command=command)))] == [command]
