"""A live feeder against whatever can be sent to its socket: words that make no sense are passed over."""

from __future__ import annotations

import json
import math
import os
import socket
from array import array
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rq_py import Queue, State
from rq_py.feeder import control, single
from rq_py.feeder.control import WORDS, Word
from rq_py.feeder.options import FeedOptions
from rq_py.wake import SOCKET_NAME, wake
from tests.feeder.conftest import Feed, Gate, becomes
from tests.waiting import wait_until

said = st.one_of(
    st.binary(max_size=100),
    st.lists(
        st.sampled_from(
            [*(word.encode() for word in WORDS), b" ", b"\0", b"\n", b"-1", b"1", b"nan", b"1e999", b"\xff"]
        ),
        max_size=6,
    ).map(b"".join),
    st.builds(
        lambda word, more: word.encode() + b" " * 64 + more, st.sampled_from(WORDS), st.binary(max_size=9)
    ),
)


@settings(max_examples=300, deadline=None)
@given(said)
def test_a_datagram_is_a_word_or_nothing(datagram: bytes) -> None:
    word = Word.parse(datagram)
    if word is not None:
        assert datagram.split()[0].decode() == word.name
        assert word.name in WORDS
        assert len(datagram) <= 64
        assert word.grace is None or (word.name == "stop" and 0 <= word.grace < math.inf)


def test_the_end_of_a_long_datagram_is_not_overlooked() -> None:
    """Cut off at 64 bytes, it would be a word."""
    assert Word.parse(b"shutdown".ljust(64)) == Word("shutdown")
    assert Word.parse(b"shutdown".ljust(64) + b"x") is None


def test_a_feeder_to_which_anything_is_said(queue: Queue, feed: Feed, gate: Gate) -> None:
    """Its job ends as it should, the next one runs, no descriptor is left open, and it ends when told to."""
    queue.submit(f"{gate.command}; exit 7", cwd="/")
    feeder = feed("--max-feed", "2")
    becomes(queue, 1, State.RUNNING)
    place = queue.local_state / SOCKET_NAME
    files = Path(f"/proc/{feeder.process.pid}/fd")
    before = len(list(files.iterdir()))

    # One that fails is told as it is: to make it smaller would need a new feeder each time.
    @settings(
        max_examples=150, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(said.filter(lambda datagram: Word.parse(datagram) in {None, Word("wake")}), st.integers(0, 3))
    def send(datagram: bytes, descriptors: int) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth, open(os.devnull, "rb") as null:
            mouth.settimeout(30)  # where the feeder no longer listens, the kernel would wait for it
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [null.fileno()] * descriptors))]
            mouth.sendmsg([datagram], rights if descriptors else [], 0, str(place))

    send()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
        mouth.sendto(b"stop 1" + b" " * 100_000, str(place))
    for _ in range(5000):
        assert wake(queue.local_state)
    queue.submit("exit 4", cwd="/")
    assert becomes(queue, 2, State.FINISHED).exit_status == 4
    gate.open(1)
    assert becomes(queue, 1, State.FINISHED).exit_status == 7
    wait_until(lambda: len(list(files.iterdir())) <= before, 30)
    assert "bug in rqpy" not in feeder.log
    assert control.request(queue.local_state, "shutdown").pid == feeder.process.pid
    assert feeder.ends() == 0


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from(["\0", "self", "../1", "[" * 100_000]),
    st.lists(st.integers(), max_size=2),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["pid", "start", "boot", "options", "uid"]), values, max_size=3))
def test_a_note_that_makes_no_sense_is_nobody(state_dir: Path, changes: dict[str, object]) -> None:
    me = single.this_process(FeedOptions("/q", 1), node="n", since="", version="", log="")
    note = {name: getattr(me, name) for name in me.__dataclass_fields__} | changes
    (state_dir / single.NOTE_NAME).write_text(json.dumps(note), encoding="utf-8")
    found = single.info(state_dir)
    if found is not None:
        assert (found.pid, found.start, found.boot) == (me.pid, me.start, me.boot)


def test_notes_that_are_no_notes(state_dir: Path) -> None:
    for text in ("[" * 100_000, "", "null", "[]", '{"pid": 1}', "\0", "1" * 5000):
        (state_dir / single.NOTE_NAME).write_text(text)
        assert single.info(state_dir) is None
    (state_dir / single.NOTE_NAME).write_bytes(b"\xff")
    assert single.info(state_dir) is None
