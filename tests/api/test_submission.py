"""Submitting: all or nothing, jids that are never used twice, checks, bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rq_py import Job, JobSpec, Queue, State
from rq_py.errors import InputError, StorageError
from rq_py.job import MAX_COMMAND_BYTES
from rq_py.store import tokens
from tests.store.children import child


def leftovers(queue: Queue) -> list[str]:
    """Staged and temporary files."""
    return [path.name for path in queue.path.rglob("*") if path.name.startswith(".") or "tmp" in path.name]


def test_a_job_is_as_it_was_submitted(queue: Queue, this_node: str) -> None:
    job = queue.submit(
        "echo 'ä' \\\n  \"$X\"\t#",
        priority=-7,
        tag="t ü",
        runner="b",
        restartable=True,
        cwd="/srv",
        env={"X": "1\n2"},
    )
    assert queue.job(1) == job
    assert (job.command, job.priority, job.tag) == ("echo 'ä' \\\n  \"$X\"\t#", -7, "t ü")
    assert (job.required_runner, job.restartable, job.cwd) == ("b", True, "/srv")
    assert job.env == '{"X": "1\\n2"}'
    assert (job.state, job.submitter, job.attempt, job.token) == (State.PENDING, this_node, 0, "")
    assert queue.submit("x", stage=True).state is State.HOLDING
    assert queue.submit("x").cwd == os.getcwd()


def test_what_submit_many_returns_is_what_is_there(queue: Queue) -> None:
    submitted = queue.submit_many(
        JobSpec(f"c{i}", priority=i % 3, stage=i % 2 == 0, tag=None if i % 5 else "t") for i in range(9000)
    )
    assert submitted.count == len(submitted) == 9000
    assert submitted.first_jid == 1
    assert list(submitted) == list(queue.jobs())
    assert list(submitted) == list(submitted)  # to be read again
    assert [job.jid for job in submitted] == list(range(1, 9001))


@pytest.mark.parametrize("with_files", [False, True])
def test_an_error_in_the_500th_leaves_nothing(queue: Queue, with_files: bool) -> None:
    queue.submit("before", stdin=b"x")

    def specs() -> Iterator[JobSpec]:
        for _ in range(499):
            yield JobSpec("true", stdin="stdin/1" if with_files else None)
        yield JobSpec(" ")

    with pytest.raises(InputError, match="job 500: the command is blank"):
        queue.submit_many(specs())
    with pytest.raises(ZeroDivisionError):
        queue.submit_many((JobSpec("true") if i < 499 else 1 // 0 for i in range(500)), stdin=b"y")  # type: ignore[misc]
    assert [job.jid for job in queue.jobs()] == [1]
    assert leftovers(queue) == []
    assert os.listdir(queue.path / "stdin") == ["1"]
    assert queue.submit("after").jid == 2


def test_an_error_inside_the_transaction_takes_the_files_back(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with queue.store.write() as tx:
        tx.execute(
            "CREATE TRIGGER no BEFORE INSERT ON jobs WHEN NEW.jid = 3 BEGIN SELECT raise(ABORT, 'no'); END"
        )
    with pytest.raises(StorageError, match="no"):
        queue.submit_many([JobSpec("true")] * 4, stdin=b"x")
    assert list(queue.jobs()) == []
    assert leftovers(queue) == []
    assert os.listdir(queue.path / "stdin") == []


def test_jids_are_never_used_again(queue: Queue) -> None:
    assert [queue.submit("true").jid for _ in range(3)] == [1, 2, 3]
    with queue.store.write() as tx:
        tx.execute("DELETE FROM jobs WHERE jid > 1")
    assert queue.submit("true").jid == 4
    with queue.store.write() as tx:
        tx.execute("DELETE FROM jobs")
    assert Queue(queue.path).submit("true").jid == 5
    queue.store.generations.supersede(queue.store.generations.current(), "a test")
    assert queue.submit("true").jid == 6


def test_nothing_to_submit(queue: Queue) -> None:
    with pytest.raises(InputError, match="no commands"):
        queue.submit_many([])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"command": ""}, "blank"),
        ({"command": " \n\t"}, "blank"),
        ({"command": "a\0b"}, "NUL"),
        ({"command": "a\udcffb"}, "UTF-8"),
        ({"command": "x" * (MAX_COMMAND_BYTES + 1)}, "--data"),
        ({"command": "ä" * (MAX_COMMAND_BYTES // 2 + 1)}, "--data"),
        ({"command": "x" * (2 << 20)}, "--data"),
        ({"priority": 2**63}, "64 bits"),
        ({"priority": -(2**63) - 1}, "64 bits"),
        ({"priority": 10**400}, "64 bits"),
        ({"priority": "high"}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"tag": "a\0"}, "tag"),
        ({"tag": "a\udcff"}, "tag"),
        ({"cwd": "/tmp/\udcff"}, "cwd"),
        ({"cwd": "relative"}, "cwd"),
        ({"required_runner": "a\nb"}, "required_runner"),
        ({"env": {"A=B": "x"}}, "env"),
        ({"env": {"A": "x\0"}}, "env"),
        ({"env": {"A": "\udcff"}}, "env"),
        ({"stdin": "../../etc/passwd"}, "stdin"),
        ({"stdin": "/etc/passwd"}, "stdin"),
        ({"stdin": "data/1"}, "stdin"),
        ({"data": "data/../../x"}, "data"),
        ({"data": "data/01"}, "data"),
    ],
)
def test_what_no_job_can_have(queue: Queue, fields: dict[str, object], message: str) -> None:
    spec = JobSpec(**{"command": "true", **fields})  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        queue.submit_many([JobSpec("before"), spec])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert list(queue.jobs()) == []
    assert leftovers(queue) == []


def test_what_is_just_possible(queue: Queue) -> None:
    specs = [
        JobSpec("x" * MAX_COMMAND_BYTES),
        JobSpec("true", priority=2**63 - 1),
        JobSpec("true", priority=-(2**63)),
    ]
    assert list(queue.submit_many(specs)) == list(queue.jobs())


def test_a_current_directory_that_is_not_utf_8(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "\udcff"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="cwd"):
        queue.submit("true")


@pytest.mark.parametrize("length", [10, 20_000])
def test_a_generator_of_very_many_takes_little_memory(queue: Queue, length: int) -> None:
    program = """
from rq_py import JobSpec
queue = Queue(arguments[0])
count, command = int(arguments[1]), "x" * int(arguments[2])
submitted = queue.submit_many(JobSpec(f"{i} {command}") for i in range(count))
assert sum(1 for _ in submitted) == count
assert sum(1 for _ in queue.jobs()) == count
# Not ru_maxrss: that begins with what the process had before its exec, here pytest's (getrusage(2)).
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
say(status["VmHWM"].split()[0])
"""
    count = 300_000 if length == 10 else 5000
    with child(program, queue.path, count, length) as submitter:
        kibibytes = int(submitter.line(60) or "0")
        assert 0 < kibibytes < 80 * 1024, submitter.errors()
    with queue.store.read() as tx:
        assert tx.execute("SELECT count(*), max(jid) FROM jobs").fetchone() == (count, count)


def test_very_many_commands_of_one_character_take_little_memory_until_they_are_inserted() -> None:
    program = """
from rq_py import JobSpec
from rq_py.batches import Batches
batches, like = Batches(), JobSpec("x")
for n in range(3000):
    batches.append(like, [f"{n % 10}" for _ in range(1000)])
assert sum(len(commands) for _, commands in batches) == 3_000_000
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
say(status["VmHWM"].split()[0])
"""
    with child(program) as submitter:
        kibibytes = int(submitter.line(60) or "0")
        assert 0 < kibibytes < 80 * 1024, submitter.errors()


def test_a_submit_is_remembered_for_a_day(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "ALWAYS_REMEMBERED", 1)
    queue.submit_many([JobSpec("a"), JobSpec("b")])
    with queue.store.write() as tx:
        assert tx.execute("SELECT first_jid, count FROM submits").fetchall() == [(1, 2)]
        tx.execute("INSERT INTO submits VALUES ('old', 0, 1, '2004-11-12 17:37:10.312094Z')")
        tx.execute("DELETE FROM jobs")
    queue.submit("c")
    with queue.store.read() as tx:
        assert tx.execute("SELECT first_jid, count FROM submits ORDER BY 1").fetchall() == [(1, 2), (3, 1)]


def test_without_room_for_temporary_files_on_this_node(queue: Queue) -> None:
    program = """
import resource, tempfile
from rq_py import JobSpec
queue = Queue(arguments[0])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    queue.submit_many(JobSpec("x" * 1000) for _ in range(10_000))
except RqError as error:
    say(type(error).__name__, error)
"""
    with child(program, queue.path) as submitter:
        said = submitter.line()
        assert said.startswith("StorageError "), said or submitter.errors()
        assert "temporary file on this node" in said
    assert list(queue.jobs()) == []


def test_nothing_is_left_after_two_hundred_mixed_operations(queue: Queue, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("x")
    jobs: list[Job] = []
    for number in range(40):
        jobs.append(queue.submit("true", stdin=b"x"))
        jobs += queue.submit_many([JobSpec("true"), JobSpec("true", stdin="stdin/1")])
        jobs.append(queue.submit("true", data=tree if number % 2 else tree / "file"))
        with pytest.raises(InputError):
            queue.submit("", stdin=b"x", data=tree)
        assert queue.job(jobs[-1].jid) == jobs[-1]
        queue.status()
    assert list(queue.jobs()) == jobs
    assert leftovers(queue) == []
    assert len(os.listdir(queue.path / "stdin")) == 80
    assert len(os.listdir(queue.path / "data")) == 40
    assert len(os.listdir(queue.path)) == 11
