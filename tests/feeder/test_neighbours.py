"""Another user of the same machine: cannot speak to feeder or runner, read their state, or prepare it."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from rq_py import Queue, State
from rq_py.feeder import single
from rq_py.feeder.control import Ear
from rq_py.feeder.options import FeedOptions
from rq_py.localstate import LocalState, ensure
from rq_py.queuedir import LOCAL_ROOT, local_state_path
from rq_py.runner.statedir import SOCKET
from rq_py.wake import SOCKET_NAME
from tests.feeder.conftest import Feed, Gate, becomes
from tests.store.children import child
from tests.store.strangers import PRELUDE

pytestmark = pytest.mark.root

STRANGER = 65534

_STRANGER = """
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
folder = sys.argv[1]
def attempt(name, work):
    try:
        print(name, "done", work())
    except OSError as error:
        print(name, type(error).__name__)
attempt("list", lambda: os.listdir(folder))
for name in sys.argv[3:]:
    attempt(name, lambda: open(f"{folder}/{name}", "rb").read(1))
def say(kind, name):
    with socket.socket(socket.AF_UNIX, kind) as mouth:
        mouth.connect(f"{folder}/{name}")
        mouth.sendall(b"stop 0")
attempt("feeder", lambda: say(socket.SOCK_DGRAM, "feeder.sock"))
attempt("runner", lambda: say(socket.SOCK_STREAM, "runner.sock"))
attempt("plant", lambda: open(f"{folder}/planted", "wb").close())
"""


def tried_by_a_stranger(folder: Path, *files: str) -> list[str]:
    """What came of all that another user tries with the local state."""
    program = [sys.executable, "-c", _STRANGER, str(folder), str(STRANGER), *files]
    return subprocess.run(program, capture_output=True, text=True, check=True, cwd="/").stdout.splitlines()


def test_a_stranger_reaches_nothing_of_a_feeder_and_its_runner(queue: Queue, feed: Feed, gate: Gate) -> None:
    queue.submit(gate.command, cwd="/")
    feeder = feed()
    becomes(queue, 1, State.RUNNING)
    state = queue.local_state
    files = sorted(path.name for path in state.iterdir() if path.is_file())
    assert {"feeder.json", "feeder.lock", "runner.journal", "runner.lock", "runner.log"} <= set(files)
    tried = tried_by_a_stranger(state, *files)
    assert tried == [f"{what} PermissionError" for what in ("list", *files, "feeder", "runner", "plant")]
    gate.open(1)
    assert becomes(queue, 1, State.FINISHED).exit_status == 0
    assert feeder.process.poll() is None


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own is root's alone."""
    with tempfile.TemporaryDirectory(prefix="rqpy-neighbours-") as name:
        Path(name).chmod(0o1777)
        yield Path(name)


def test_the_feeders_socket_is_closed_even_where_the_way_to_it_is_open(open_path: Path) -> None:
    path = ensure(open_path / "rqpy-0" / "node-uuid")
    with LocalState(path) as state:
        ear = Ear(state)
        path.parent.chmod(0o755)
        path.chmod(0o755)
        assert "feeder PermissionError" in tried_by_a_stranger(path)
        assert ear.words() == []
        ear.close()


@pytest.fixture
def uid() -> Iterator[int]:
    """A user id that nobody has: its node-local state is this test's alone."""
    found = 2_000_000_000 + os.getpid()
    place = LOCAL_ROOT / f"rqpy-{found}"
    assert not place.exists()
    yield found
    if place.is_symlink() or place.is_file():
        place.unlink()
    shutil.rmtree(place, ignore_errors=True)


_VICTIM = (
    PRELUDE
    + """
from rq_py.feeder import control, daemon, loop, report
from rq_py.feeder.options import FeedOptions
from rq_py.feeder.session import feed
uid = int(arguments[1])
become(uid, uid)
queue = Queue.create(arguments[0], settings={"login": "never", "shell": "sh"})
say(queue.settings.uuid)
hear()
options = FeedOptions(str(queue.path), 1, until_empty=True)
attempt(lambda: daemon.start(options))
attempt(lambda: feed(options))
attempt(lambda: control.request(queue.local_state, "stop"))
attempt(lambda: queue.submit("true", cwd="/").jid)
"""
)


def lying_note(state: Path, node: str) -> None:
    """A note that names a living process: this one."""
    me = single.this_process(FeedOptions("/q", 1), node=node, since="now", version="1", log="/tmp/log")
    (state / single.NOTE_NAME).write_text(json.dumps(asdict(me)))


@pytest.mark.parametrize("planted", ["directory", "closed directory", "symlink", "open directory", "file"])
def test_what_somebody_has_prepared_in_the_place_of_the_local_state(
    open_path: Path, node: str, uid: int, planted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused, nothing is put into it, and nothing that lies there is believed or spoken to."""
    monkeypatch.setenv("RQ_NODE", node)
    with (
        child(_VICTIM, open_path / "q", uid) as victim,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trap,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as runner_trap,
    ):
        place = local_state_path(uid, node, victim.line())
        real = open_path / "theirs" if planted == "symlink" else place.parent
        if planted == "file":
            real.write_text("")
        else:
            state = real / place.name
            state.mkdir(parents=True)
            lying_note(state, node)
            descriptor = os.open(state, os.O_RDONLY)  # a socket's path is limited to 108 bytes, unix(7)
            trap.bind(f"/proc/self/fd/{descriptor}/{SOCKET_NAME}")
            runner_trap.bind(f"/proc/self/fd/{descriptor}/{SOCKET}")
            runner_trap.listen()
            os.close(descriptor)
            for path in (real, state, *state.iterdir()):
                os.chown(path, STRANGER, STRANGER)
                path.chmod(0o700 if planted == "closed directory" else 0o777)
            if planted == "open directory":  # the victim's own, but others can write it
                os.chown(real, uid, uid)
            if planted == "symlink":
                place.parent.symlink_to(real)
        before = sorted(real.rglob("*"))
        victim.tell()
        for _ in range(3):
            said = victim.line()
            assert said.startswith("RqError "), said
            assert f"{place.parent}: refusing to use it as node-local state" in said
        assert victim.line() == "ok 1"
        assert sorted(real.rglob("*")) == before
        if planted != "file":
            assert select.select([trap, runner_trap], [], [], 0)[0] == [], "nobody spoke to a trap"
