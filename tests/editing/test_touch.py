"""Touch: the same said twice makes one job that waits."""

from __future__ import annotations

import io
import os
import threading

import pytest

from rq_py import Queue, State
from rq_py.errors import InputError
from tests.editing.conftest import claimed, files, ready


def test_submits_once_then_changes(queue: Queue) -> None:
    (first,) = queue.touch("make", tag="t")
    assert (first.jid, first.state, first.priority, first.cwd) == (1, State.PENDING, 0, os.getcwd())
    (second,) = queue.touch("make", tag="t", priority=5, runner="b")
    assert second == first._replace(priority=5, required_runner="b")
    assert ready(queue) == {1: "b"}
    (third,) = queue.touch("make", tag="t")
    assert third == second
    assert list(queue.jobs()) == [third]


def test_command_and_tag_must_be_the_same(queue: Queue) -> None:
    for tag in ("t", None, "u"):
        queue.touch("make", tag=tag)
    queue.touch("make all", tag="t")
    queue.touch("make")
    assert [(job.command, job.tag) for job in queue.jobs()] == [
        ("make", "t"), ("make", None), ("make", "u"), ("make all", "t"),
    ]  # fmt: skip


def test_a_job_that_runs_or_has_ended_does_not_count(every_state: Queue) -> None:
    edited = every_state.touch("cat", tag="t", priority=3)
    assert [job.jid for job in edited] == [1, 2]
    every_state.delete(1, 2)
    assert [job.jid for job in every_state.touch("cat", tag="t")] == [6]


def test_stdin_is_replaced_or_comes_with_the_new_job(queue: Queue) -> None:
    queue.touch("cat", stdin=b"one", state="holding")
    assert queue.job(1).state is State.HOLDING
    assert queue.stream(1, "stdin").read_bytes() == b"one"
    queue.touch("cat", stdin=io.BytesIO(b"two"))
    assert queue.job(1).state is State.HOLDING
    assert queue.stream(1, "stdin").read_bytes() == b"two"
    queue.touch("cat", stdin=None)
    assert not queue.job(1).has_stdin
    assert files(queue) == set()


def test_when_the_job_is_claimed_while_the_stdin_is_read_a_new_one_is_submitted(queue: Queue) -> None:
    queue.touch("cat", stdin=b"old")

    class Claiming(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            claimed(queue, 1)
            return super().read(size)

    edited = queue.touch("cat", stdin=Claiming(b"new"))
    assert [job.jid for job in edited] == [2]
    assert [queue.stream(jid, "stdin").read_bytes() for jid in (1, 2)] == [b"old", b"new"]
    assert files(queue) == {"stdin/1", "stdin/2"}


def test_when_such_a_job_comes_while_the_stdin_is_read_it_is_changed_too(queue: Queue) -> None:
    class Submitting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                queue.submit("cat")
            return super().read(size)

    edited = queue.touch("cat", stdin=Submitting(b"new"))
    assert [job.jid for job in edited] == [1]
    assert queue.stream(1, "stdin").read_bytes() == b"new"
    assert files(queue) == {"stdin/1"}


def test_when_such_a_job_comes_after_the_look_all_is_done_again(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.submit("cat")
    link = os.link

    def submit_and_link(*values: object, **further: object) -> None:
        if sum(1 for _ in queue.jobs()) == 1:
            queue.submit("cat")
        link(*values, **further)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", submit_and_link)
    edited = queue.touch("cat", stdin=io.BytesIO(b"new"))
    assert [job.jid for job in edited] == [1, 2]
    assert [queue.stream(jid, "stdin").read_bytes() for jid in (1, 2)] == [b"new", b"new"]
    assert files(queue) == {"stdin/1", "stdin/2"}


def test_many_at_once_make_one_job(queue: Queue) -> None:
    threads = [threading.Thread(target=queue.touch, args=("make",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [job.jid for job in queue.jobs()] == [1]


def test_what_no_job_can_be(queue: Queue) -> None:
    with pytest.raises(InputError):
        queue.touch(" ")
    with pytest.raises(InputError):
        queue.touch("true", tag="a\nb")
    assert list(queue.jobs()) == []
