"""A live runner against whatever can be sent to its socket: it answers or hangs up, and its job runs on."""

from __future__ import annotations

import json
import os
import socket
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rq_py.runner import protocol
from tests.runner.conftest import BEGIN, RunnerUnderTest, raw_connection
from tests.waiting import wait_until

SHELL = ["/bin/sh"]
HELLO = {"do": "hello", "id": 1, "protocol": protocol.PROTOCOL, "shell": SHELL, "env": {"A": "b"}}
KEY = {"jid": 1, "attempt": 1, "token": "fuzz"}
LAST = 777777  # the id of a conversation's last request
ORDER = KEY | {"pid": None, "restartable": False, "script": BEGIN + "exit 3\n"}
REQUESTS: list[dict[str, Any]] = [
    HELLO,
    HELLO,  # without one there is not much to find
    {"do": "ready", "id": 2, "count": 2},
    {"do": "launch", "id": 3, "slots": 2, "jobs": [ORDER]},
    {
        "do": "launch",
        "id": 4,
        "slots": 2,
        "jobs": [ORDER | {"pid": 1}, ORDER | {"jid": 2, "restartable": True}],
    },
    {"do": "withdraw", "id": 5},
    {"do": "confirm", "id": 6, "exits": [KEY]},
    {"do": "kill", "id": 7, "signal": 9} | KEY,
    {"do": "kill", "id": 11, "signal": 9, "reason": "fuzz"} | KEY,
    {"do": "renewed", "id": 8, "lease": 600, "at": 1},
    {"do": "running", "id": 9},
    {"do": "drop", "id": 10},
]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 2**63, 10**400, 1e308, 0.5])
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["\ud800", "\udcff", "\0", "x" * 200, "hello", "launch"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
#: Fields that would have a healthy runner do what a test must not: only these values are drawn for them.
HARMLESS: dict[str, list[object]] = {
    "count": [-1, 0, 1, 3, 2000, True, None, "1", 1.5, 2**64],  # 1024 shells are no bug
    "script": [None, 1, [], "", ":\n", "exit 5\n", "exit\0", "\ud800", "\udcff", "("],
    "shell": [[], "/bin/sh", ["sh"], ["/bin/false"], ["/"], ["/none"], ["/bin/sh", "\0"], [1]],
}
#: One value of each kind, for all the other fields.
KINDS: list[object] = [None, True, -1, 2**64, 0.5, "", "\0", "\ud800", "x" * 200, [], [1], [{}], {}, {"a": 1}]


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request of which some fields are gone, or of another value."""
    request: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(REQUESTS))))
    places = [request, *request.get("jobs", ()), *request.get("exits", ())]
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from(places))
        name = draw(st.sampled_from([*sorted(place), "new"]))
        if draw(st.booleans()):
            place[name] = draw(st.sampled_from(HARMLESS[name]) if name in HARMLESS else values)
        else:
            place.pop(name, None)
    return request


frames = requests().map(lambda request: json.dumps(request).encode() + b"\n")
#: Some frames, and what is done to the bytes of each: where, and what.
streams = st.lists(
    st.tuples(
        frames,
        st.floats(0, 1),
        st.sampled_from(["whole"] * 6 + ["cut", "splice", "flip", "insert", "no newline"]),
        st.binary(max_size=20).filter(lambda data: b"\n" not in data),
    ),
    min_size=1,
    max_size=8,
)


def joined(stream: list[tuple[bytes, float, str, bytes]]) -> bytes:
    data = b""
    for frame, where, what, noise in stream:
        at = int(where * (len(frame) - 1))
        if what == "cut":
            data += frame[:at] + b"\n"
        elif what == "splice":  # the beginning of this one goes on as the end of what came before
            data = data[: len(data) // 2] + frame[at:]
        elif what == "flip":
            data += frame[:at] + bytes([frame[at] ^ 0x80]) + frame[at + 1 :]
        elif what == "insert":
            data += frame[:at] + noise + frame[at:]
        else:
            data += frame[:-1] if what == "no newline" else frame
    return data


class Watched:
    """A runner with a job that waits at its gate; whatever is sent to the runner, that job ends with 7."""

    def __init__(self, runner: RunnerUnderTest, folder: Path) -> None:
        self.runner = runner
        self._gate = folder / "gate"
        os.mkfifo(self._gate)
        self.job = runner.launch(f"read x < '{self._gate}'; exit 7")
        self.files = self._files_at_rest()

    def _files_at_rest(self) -> int:
        """Its open descriptors while nobody is connected and no shell is ready."""
        self.runner.connect()
        self.runner.feeder.drop()
        self.runner.disconnect()
        wait_until(self._rests, 30)
        return self.runner.open_fds()

    def _rests(self) -> bool:
        """Whether the job's shell is all that it has started and not reaped, and nobody is connected."""
        process = Path(f"/proc/{self.runner.pid}")
        try:
            links = [os.readlink(link) for link in (process / "fd").iterdir()]
        except FileNotFoundError:  # it closes one just now
            return False
        children = (process / "task" / str(self.runner.pid) / "children").read_text().split()
        return len(children) == 1 and sum(link.startswith("socket:") for link in links) == 1

    def serves(self) -> None:
        """An orderly feeder is served, and hears that the job runs."""
        hello = self.runner.connect()
        assert hello.pid == self.runner.pid
        assert self.job in [running.key for running in hello.running]
        self.runner.feeder.renewed(600)
        self.runner.feeder.confirm([ended.key for ended in hello.exits])
        assert len(self.runner.feeder.ready(1)) == 1
        self.runner.disconnect()

    def goes_on(self) -> None:
        """After all of it: no descriptor is left open, a new job runs, and the old one ends as it should."""
        self.serves()
        wait_until(self._rests, 30)
        assert self.runner.open_fds() == self.files
        self.runner.connect()
        assert self.runner.run("exit 4").exit_status == 4
        self._gate.write_text("go\n")
        (ended,) = self.runner.wait_exits()
        assert (ended.key, ended.exit_status, ended.signal) == (self.job, 7, None)
        assert "error of ours" not in self.runner.log()


@pytest.fixture
def watched(runner: RunnerUnderTest, tmp_path: Path) -> Iterator[Watched]:
    yield (under_test := Watched(runner, tmp_path))
    assert under_test.runner.process is not None
    assert under_test.runner.process.poll() is None


def talk(connected: socket.socket, data: bytes) -> list[dict[str, Any]]:
    """Send ``data`` and a last request; return what comes until its answer, or until the runner hangs up."""
    with suppress(BrokenPipeError, ConnectionResetError):
        connected.sendall(data + f'\n{{"do":"running","id":{LAST}}}\n'.encode())
    received, last = b"", f'{{"id":{LAST},'.encode()
    with suppress(ConnectionResetError):
        while last not in received.rpartition(b"\n")[0] and (piece := connected.recv(1 << 16)):
            received += piece
    return [json.loads(line) for line in received.split(b"\n")[:-1]]


def assert_answers(messages: list[dict[str, Any]]) -> None:
    """All that the runner says is an event or an answer, and a refusal has one line of words."""
    for message in messages:
        if "event" in message:
            assert message["event"] in {"exits", "begun", "refused"}
        elif message["ok"] is not True:
            assert message["ok"] is False
            assert message["error"]
            assert "\n" not in message["error"]


#: Each example is a conversation with a real process: one that fails is told as it is, not made smaller.
fuzz = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def test_any_bytes(watched: Watched) -> None:
    @fuzz
    @given(st.sampled_from([b"", json.dumps(HELLO).encode() + b"\n"]), st.binary(max_size=400))
    def send(begin: bytes, data: bytes) -> None:
        with raw_connection(watched.runner.state_dir) as connected:
            assert_answers(talk(connected, begin + data))

    send()
    watched.goes_on()


def test_frames_that_were_tampered_with(watched: Watched) -> None:
    @fuzz
    @given(streams)
    def send(stream: list[tuple[bytes, float, str, bytes]]) -> None:
        with raw_connection(watched.runner.state_dir) as connected:
            assert_answers(talk(connected, joined(stream)))
        watched.serves()

    send()
    watched.goes_on()


def test_each_field_of_each_request_with_a_value_of_each_kind(watched: Watched) -> None:
    for request in REQUESTS:
        for name in request.keys() - {"id"}:
            variants = [request | {name: value} for value in HARMLESS.get(name, KINDS)]
            # Shells of one variant are of no use to the next one.
            frames = [json.dumps(frame).encode() for variant in variants for frame in (HELLO, variant)]
            with raw_connection(watched.runner.state_dir) as connected:
                messages = talk(connected, b"\n".join(frames))
            assert_answers(messages)
            assert LAST in [message.get("id") for message in messages], f"{name} of {request}: it hung up"
    watched.goes_on()


def test_several_connections_that_end_anywhere(watched: Watched) -> None:
    """Each takes the place of the one before; they are closed in mid-message, for writing only, or late."""

    @settings(fuzz, max_examples=30)
    @given(
        st.lists(st.tuples(streams, st.floats(0, 1), st.sampled_from(["close", "shut", "keep"])), max_size=5)
    )
    def send(conversations: list[tuple[Any, float, str]]) -> None:
        kept = []
        for stream, where, how in conversations:
            connected = raw_connection(watched.runner.state_dir)
            kept.append(connected)
            data = joined(stream)
            with suppress(BrokenPipeError, ConnectionResetError):
                connected.sendall(data[: int(where * len(data))])
            if how == "close":
                connected.close()
            elif how == "shut":
                with suppress(OSError):
                    connected.shutdown(socket.SHUT_WR)
        watched.serves()
        for connected in kept:
            connected.close()

    send()
    watched.goes_on()


def test_many_connections_that_say_nothing(watched: Watched) -> None:
    with ExitStack() as idle:
        for _ in range(200):
            last = idle.enter_context(raw_connection(watched.runner.state_dir))
        assert_answers(talk(last, b""))  # then nobody waits before the orderly one
        watched.serves()
    watched.goes_on()


@pytest.mark.parametrize("count", [1, 10, 253])  # SCM_MAX_FD, unix(7)
def test_descriptors_that_nobody_asked_for(watched: Watched, count: int) -> None:
    """They are closed at once: whoever reads from the other end of one sees its end."""
    ours, theirs = os.pipe()
    with raw_connection(watched.runner.state_dir) as connected, open(ours, "rb") as other_end:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [theirs] * count))]
        connected.sendmsg([json.dumps(HELLO).encode() + b"\n"], rights)
        connected.sendmsg([b"x"], rights)
        os.close(theirs)
        connected.sendall(b"\n")
        assert_answers(talk(connected, b""))
        assert other_end.read() == b""
    watched.goes_on()


def test_lines_without_end_on_many_connections_take_the_memory_of_one(watched: Watched) -> None:
    piece = b"x" * (protocol.MAX_LINE - 1000)
    for _ in range(6):
        with raw_connection(watched.runner.state_dir) as connected:
            connected.sendall(b'{"do":"' + piece)
    status = Path(f"/proc/{watched.runner.pid}/status").read_text()
    (most,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    assert most * 1024 < 5 * protocol.MAX_LINE
    watched.goes_on()


def test_a_job_of_another_feeder_is_neither_forgotten_nor_hidden(watched: Watched) -> None:
    """Not by who guesses its jid and attempt, and not by who says that it is confirmed while it runs."""
    key = watched.job
    named = {"jid": key.jid, "attempt": key.attempt, "token": key.token}
    with raw_connection(watched.runner.state_dir) as connected:
        said = talk(
            connected,
            b"".join(
                json.dumps(request).encode() + b"\n"
                for request in (
                    HELLO,
                    {"do": "confirm", "id": 2, "exits": [named]},
                    {"do": "kill", "id": 3, "signal": 9} | named | {"token": "guessed"},
                    {"do": "launch", "id": 4, "slots": 5, "jobs": [ORDER | named]},
                )
            ),
        )
    answers = {message["id"]: message for message in said if "id" in message}
    assert answers[3]["signalled"] == 0
    assert answers[4]["launched"] == []
    watched.goes_on()
