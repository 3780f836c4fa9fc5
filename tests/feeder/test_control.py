"""The feeder's ear and the words in it, who the feeder is, and that there is one only."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rq_py.errors import FeederRunning, NoFeeder, StorageError, UsageError
from rq_py.feeder import control, single
from rq_py.feeder.control import Ear, Word
from rq_py.feeder.options import FeedOptions
from rq_py.feeder.single import Single
from rq_py.localstate import LocalState, ensure
from rq_py.wake import send, wake


def test_a_word_arrives(state_dir: Path) -> None:
    with LocalState(state_dir) as state:
        ear = Ear(state)
        assert wake(state_dir)
        assert send(state_dir, b"stop 2.5")
        assert select.select([ear], [], [], 5)[0] == [ear]
        assert ear.words() == [Word("wake"), Word("stop", 2.5)]
        assert ear.words() == []
        ear.close()
    assert not wake(state_dir)


def test_a_path_longer_than_a_sockets_address_works(tmp_path: Path) -> None:
    path = ensure(tmp_path / ("x" * 100) / ("y" * 200))
    with LocalState(path) as state:
        ear = Ear(state)
        assert wake(path)
        assert ear.words() == [Word("wake")]
        ear.close()


def test_waking_never_blocks_and_never_fails(state_dir: Path, tmp_path: Path) -> None:
    assert not wake(tmp_path / "missing")
    assert not wake(state_dir)
    with LocalState(state_dir) as state:
        ear = Ear(state)
        assert all(wake(state_dir) for _ in range(5000))  # far more than a socket holds
        assert Word("wake") in ear.words()
        ear.close()
    state_dir.chmod(0o755)
    assert not wake(state_dir)


@pytest.mark.parametrize(
    "said", [b"", b"\0", b"rm -rf", b"stop x", b"stop -1", b"stop inf", b"stop 1 2", b"wake 1", b"\xff" * 64]
)
def test_a_word_that_makes_no_sense_is_passed_over(said: bytes) -> None:
    assert Word.parse(said) is None


def test_the_socket_is_the_users_alone(state_dir: Path) -> None:
    with LocalState(state_dir) as state:
        ear = Ear(state)
        assert (state_dir / "feeder.sock").stat().st_mode & 0o777 == 0o600
        ear.close()


def note(**changes: object) -> single.FeederInfo:
    options = FeedOptions(queue="/q", max_feed=3)
    made = single.this_process(options, node="n", since="2026-11-20 15:06:49.514387Z", version="1", log="")
    return replace(made, **changes)  # type: ignore[arg-type]


def test_the_note_is_believed_only_if_that_process_runs(state_dir: Path) -> None:
    one = Single(state_dir, "/q")
    assert single.info(state_dir) is None
    one.tell(note())
    assert single.info(state_dir) == note()
    for changes in ({"start": 1}, {"boot": "another"}, {"pid": 2**22 + 1}):
        one.tell(note(**changes))
        assert single.info(state_dir) is None
    (state_dir / "feeder.json").write_text("{torn")
    assert single.info(state_dir) is None
    one.close()
    assert not (state_dir / "feeder.json").exists()


def test_a_second_one_is_told_who_feeds(state_dir: Path) -> None:
    one = Single(state_dir, "/q")
    one.tell(note())
    code = (
        "import sys; from pathlib import Path; from rq_py.feeder.single import Single\n"
        "from rq_py.errors import FeederRunning\n"
        "try: Single(Path(sys.argv[1]), '/q')\nexcept FeederRunning as e: print(e)"
    )
    said = subprocess.run([sys.executable, "-c", code, state_dir], capture_output=True, text=True, check=True)
    assert f"/q: is fed already, by pid {os.getpid()} on n since 2026-11-20" in said.stdout
    (state_dir / "feeder.json").unlink()
    with pytest.raises(FeederRunning, match="just starting or ending"):
        Single(state_dir, "/q")
    one.close()
    Single(state_dir, "/q").close()


def test_requests_without_a_feeder(state_dir: Path) -> None:
    with pytest.raises(NoFeeder):
        control.request(state_dir, "shutdown")
    with pytest.raises(UsageError):
        control.checked_grace(float("nan"))


def test_waiting_for_the_end_of_a_process(state_dir: Path) -> None:
    child = subprocess.Popen(["sleep", "100"])
    from rq_py.runner.identity import start_ticks

    who = note(pid=child.pid, start=start_ticks(child.pid))
    assert not control.wait_until_gone(who, 0.05)
    child.kill()
    assert control.wait_until_gone(who, 10)
    child.wait()
    assert control.wait_until_gone(who, 10)


def test_an_ear_that_cannot_be_made_is_one_line(state_dir: Path) -> None:
    with LocalState(state_dir) as state:
        (state_dir / "feeder.sock").mkdir()
        with pytest.raises(StorageError, match="cannot listen"):
            Ear(state)


def test_options_survive_being_stored() -> None:
    options = FeedOptions(queue="/q'\n", max_feed=3, loops=7, grace=0.5, log="/l", log_age="daily")
    assert FeedOptions.from_json(options.to_json()) == options
    assert FeedOptions.from_json('{"queue": "/q", "max_feed": 1, "from_the_future": 1}').queue == "/q"
    for text in ("[]", "{", '{"max_feed": 1}', '{"queue": "/q", "max_feed": "x"}'):
        with pytest.raises(UsageError):
            FeedOptions.from_json(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_feed": 0},
        {"loops": 0},
        {"min_sleep": 0},
        {"min_sleep": float("nan")},
        {"max_sleep": 0.01},
        {"grace": -1},
        {"log_age": "hourly"},
        {"log_size": -1},
        {"verbosity": "loud"},
    ],
)
def test_senseless_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        FeedOptions(queue="/q", **wrong)  # type: ignore[arg-type]
