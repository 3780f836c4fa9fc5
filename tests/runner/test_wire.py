"""A live runner and everything that is no proper request: an answer, at worst a hang-up, never its death."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from rq_py.errors import ProtocolError
from rq_py.runner import protocol
from rq_py.runner.client import RunnerClient
from tests.runner.conftest import RunnerUnderTest, raw_connection
from tests.waiting import wait_until

HELLO = {"do": "hello", "id": 1, "protocol": protocol.PROTOCOL, "shell": ["/bin/sh"], "env": {}}
KEY = {"jid": 1, "attempt": 1, "token": "t"}


def ask(connected: socket.socket, message: Mapping[str, object]) -> dict[str, object]:
    connected.sendall(json.dumps(message).encode() + b"\n")
    return answer(connected)


def answer(connected: socket.socket) -> dict[str, object]:
    line = b""
    while not line.endswith(b"\n"):
        piece = connected.recv(1 << 20)
        assert piece, "it hung up"
        line += piece
    decoded = json.loads(line)
    assert isinstance(decoded, dict)
    return decoded


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"do": "hello"},
        {"id": 1},
        {"do": "nonsense", "id": 1},
        {"do": ["hello"], "id": 1},
        {"do": "hello", "id": "1"},
        HELLO | {"shell": []},
        HELLO | {"shell": ["sh"]},
        HELLO | {"shell": "/bin/sh"},
        HELLO | {"env": {"A=B": "x"}},
        HELLO | {"env": {"A": "x\0"}},
        HELLO | {"env": {"A": "\ud800"}},
        {"do": "ready", "id": 1, "count": -1},
        {"do": "ready", "id": 1, "count": 10**6},
        {"do": "ready", "id": 1, "count": True},
        {"do": "launch", "id": 1, "slots": 1, "jobs": {}},
        {"do": "launch", "id": 1, "slots": 1, "jobs": [[]]},
        {"do": "launch", "id": 1, "slots": 1, "jobs": [KEY | {"pid": 1, "restartable": 0, "script": ""}]},
        {"do": "launch", "id": 1, "slots": 1, "jobs": [KEY | {"pid": 1, "restartable": True}]},
        {"do": "confirm", "id": 1, "exits": [{"jid": 1}]},
        {"do": "kill", "id": 1, "signal": 0} | KEY,
        {"do": "kill", "id": 1, "signal": 65} | KEY,
        {"do": "renewed", "id": 1, "lease": "long", "at": 1},
    ],
)
def test_a_malformed_request_is_answered_and_the_connection_goes_on(
    runner: RunnerUnderTest, message: Mapping[str, object]
) -> None:
    with raw_connection(runner.state_dir) as connected:
        assert ask(connected, HELLO)["ok"] is True
        refused = ask(connected, message)
        assert refused["ok"] is False
        assert refused["error"]
        assert "\n" not in str(refused["error"])
        assert ask(connected, {"do": "running", "id": 7}) == {"id": 7, "ok": True, "running": []}


@pytest.mark.parametrize(
    "line", [b"hello\n", b"[]\n", b"\n", b"\xff\xfe\n", b'{"do":NaN}\n', b"[" * 99_999 + b"\n"]
)
def test_what_is_no_json_object_ends_the_connection_only(runner: RunnerUnderTest, line: bytes) -> None:
    with raw_connection(runner.state_dir) as connected:
        connected.sendall(line + b'{"do":"running","id":1}\n')
        refused = answer(connected)
        assert (refused["id"], refused["ok"]) == (None, False)
        assert connected.recv(100) == b""
    assert runner.connect().pid == runner.pid


def test_an_endless_line_ends_the_connection_only(runner: RunnerUnderTest) -> None:
    with raw_connection(runner.state_dir) as connected:
        piece = b" " * 65536
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connected.sendall(piece * (2 * protocol.MAX_LINE // len(piece)))
    assert runner.connect().pid == runner.pid


def test_before_the_hello_nothing_else_is_done(runner: RunnerUnderTest) -> None:
    with raw_connection(runner.state_dir) as connected:
        assert ask(connected, {"do": "ready", "id": 1, "count": 1})["error"] == "say hello first"


def test_another_version_is_refused_and_the_jobs_are_kept(
    runner: RunnerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = runner.run("exit 9")
    with monkeypatch.context() as newer:
        newer.setattr(protocol, "PROTOCOL", protocol.PROTOCOL + 1)
        with pytest.raises(ProtocolError, match="version 2 of the protocol, the feeder 3"):
            runner.connect()
    assert runner.connect().exits == [ended]


def test_requests_may_come_in_pieces_and_in_heaps(runner: RunnerUnderTest) -> None:
    with raw_connection(runner.state_dir) as connected:
        for byte in json.dumps(HELLO).encode() + b"\n":
            connected.sendall(bytes([byte]))
        assert answer(connected)["ok"] is True
        connected.sendall(b'{"do":"running","id":3}\n' * 1000)
        received = b""
        while received.count(b"\n") < 1000:
            received += connected.recv(1 << 20)


@pytest.mark.root
def test_another_user_is_turned_away(runner: RunnerUnderTest) -> None:
    """(b): even where the file modes let him in, which here they are made to do."""
    for path in (runner.state_dir, *runner.state_dir.parents):
        if path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    (runner.state_dir / "runner.sock").chmod(0o777)
    ended = runner.run(":")
    code = f"""
import os, socket
os.setgroups([]); os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect({str(runner.state_dir / "runner.sock")!r})
try:
    s.sendall({json.dumps(HELLO).encode()!r} + b"\\n")
    print(s.recv(1000))
except (BrokenPipeError, ConnectionResetError):
    print(b"")
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert found.stdout == "b''\n", "he gets no word"
    wait_until(lambda: "a process of uid 65534 was turned away" in runner.log())
    assert runner.feeder.running() == [], "and the feeder keeps its connection"
    assert isinstance(runner.feeder, RunnerClient)
    assert ended.exit_status == 0
