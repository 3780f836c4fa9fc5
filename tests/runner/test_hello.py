"""The answer to a hello: whether it holds all that the runner knows."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from rq_py.runner import requests
from rq_py.runner.connection import Connection
from rq_py.runner.deadman import DeadMan
from rq_py.runner.journal import Journal, Record
from rq_py.runner.orders import Orders
from rq_py.runner.records import read_hello
from rq_py.runner.requests import Requests
from rq_py.runner.shells import Shells
from rq_py.runner.standstill import StandStill

HELLO = json.dumps({"do": "hello", "id": 1, "protocol": 2, "shell": ["/bin/sh"], "env": {}}).encode()


def _going(jid: int) -> Record:
    return {"jid": jid, "attempt": 1, "token": "t", "pid": 9, "start": 9, "restartable": False, "at": 1.0}


def _exit(jid: int) -> Record:
    times = dict.fromkeys(("finished", "elapsed", "user_cpu", "system_cpu"), 1.0)
    return {"jid": jid, "attempt": 1, "token": "t", "pid": 9, "exit_status": 0, "max_rss": 0, **times}


def _answer(state_dir: Path, exits: int, orphans: int, rebooted: int) -> tuple[dict[str, object], int]:
    """The answer to a hello, and how many exits are left to be pushed."""
    directory = os.open(state_dir, os.O_RDONLY)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        journal = Journal(directory, print)
        journal.exits.update({(jid, 1, "t"): _exit(jid) for jid in range(exits)})
        journal.goings.update({(100 + jid, 1, "t"): _going(100 + jid) for jid in range(orphans)})
        journal.rebooted.update({(200 + jid, 1, "t"): _going(200 + jid) for jid in range(rebooted)})
        feeder = Connection(ours)
        shells, deadman = Shells(journal, print), DeadMan(print, StandStill())
        Requests(journal, shells, Orders(shells, deadman), deadman).answer(HELLO, feeder)
        left = len(feeder.offers)
        feeder.offers.clear()
        feeder.flush(with_offers=False)
        os.close(directory)
        answer: dict[str, object] = json.loads(theirs.recv(1 << 20))
        return answer, left


@pytest.mark.parametrize(
    ("exits", "orphans", "rebooted", "complete"),
    [(0, 0, 0, True), (3, 2, 2, True), (4, 0, 0, False), (0, 3, 0, False), (0, 0, 3, False)],
)
def test_it_says_whether_it_is_complete(
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    exits: int,
    orphans: int,
    rebooted: int,
    complete: bool,
) -> None:
    monkeypatch.setattr(requests, "_EXITS_AT_ONCE", 3)
    monkeypatch.setattr(requests, "_LOST_AT_ONCE", 2)
    answer, left = _answer(state_dir, exits, orphans, rebooted)
    assert read_hello(answer).complete is complete
    assert left == max(exits - 3, 0)
