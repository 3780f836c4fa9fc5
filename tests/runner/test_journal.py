"""The journal: what survives, what is cut off, and when its absence of a record proves something."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rq_py.errors import RunnerError
from rq_py.runner import journal as journal_module
from rq_py.runner.journal import Journal, Record, decode_record, encode_record

Open = Iterator[Journal]


def going(jid: int) -> Record:
    return {"jid": jid, "attempt": 1, "token": "t", "pid": 9, "start": 8, "restartable": False, "at": 1.5}


def ended(jid: int) -> Record:
    return {"jid": jid, "attempt": 1, "token": "t", "pid": 9, "exit_status": 0}


def key(jid: int) -> tuple[int, int, str]:
    return jid, 1, "t"


class Place:
    """A directory with a journal that can be opened again and again, and what the journals said."""

    def __init__(self, path: Path) -> None:
        self.directory = os.open(path, os.O_RDONLY)
        self.file = path / "runner.journal"
        self.said: list[str] = []

    def open(self) -> Journal:
        return Journal(self.directory, self.said.append)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    os.close(made.directory)


def test_everything_is_there_again(place: Place) -> None:
    first = place.open()
    first.launching([going(1), going(2), going(3)])
    first.ended([ended(1), ended(2)])
    first.forget([key(2), key(77)])
    again = place.open()
    assert again.id == first.id
    assert (again.goings, again.exits, again.rebooted) == ({key(3): going(3)}, {key(1): ended(1)}, {})
    assert not again.knows(key(2))


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_torn_last_record_is_cut_off_and_proves_nothing_wrong(place: Place, cut: int) -> None:
    first = place.open()
    first.launching([going(1)])
    first.launching([going(2)])
    place.file.write_bytes(place.file.read_bytes()[:-cut])
    again = place.open()
    assert list(again.goings) == [key(1)]
    assert again.id == first.id
    assert "unfinished record" in place.said[0]
    again.launching([going(3)])
    assert list(place.open().goings) == [key(1), key(3)]


def test_damage_inside_keeps_what_is_whole_under_a_new_id(place: Place) -> None:
    first = place.open()
    first.launching([going(1)])
    first.launching([going(2)])
    lines = place.file.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"jid":1', b'"jid":9')
    place.file.write_bytes(b"".join(lines))
    again = place.open()
    assert list(again.goings) == [key(2)]
    assert again.id != first.id
    assert "damaged" in place.said[0]


def test_a_new_boot_gives_a_new_id_and_keeps_exits(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first = place.open()
    first.launching([going(1), going(2)])
    first.ended([ended(1)])
    monkeypatch.setattr(journal_module, "boot_id", lambda: "another boot")
    again = place.open()
    assert again.id != first.id
    assert (again.goings, again.exits, again.rebooted) == ({}, {key(1): ended(1)}, {key(2): going(2)})
    later = place.open()
    assert later.rebooted == again.rebooted, "until they are confirmed"
    later.forget([key(2)])
    assert place.open().rebooted == {}


def test_a_missing_or_empty_journal_is_a_new_one(place: Place) -> None:
    first = place.open()
    place.file.unlink()
    second = place.open()
    place.file.write_bytes(b"")
    assert len({first.id, second.id, place.open().id}) == 3


def test_a_newer_format_is_left_alone(place: Place) -> None:
    content = encode_record("header", {"journal": "x", "boot": "y", "format": 2})
    place.file.write_bytes(content)
    with pytest.raises(RunnerError, match="newer rqpy"):
        place.open()
    assert place.file.read_bytes() == content


def test_it_is_written_anew_when_most_of_it_is_confirmed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "COMPACT_AT", 5_000)
    journal = place.open()
    for jid in range(1, 500):
        journal.launching([going(jid)])
        journal.ended([ended(jid)])
        if jid != 250:
            journal.forget([key(jid)])
        assert place.file.stat().st_size < 6_000
    again = place.open()
    assert (again.id, again.goings, again.exits) == (journal.id, {}, {key(250): ended(250)})


def test_exits_that_cannot_be_written_are_written_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = place.open()
    journal.launching([going(1), going(2)])
    size = place.file.stat().st_size
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data: write(fd, data[:10]) if len(data) > 10 else fail())
        journal.ended([ended(1)])
        with pytest.raises(OSError, match="No space"):
            journal.launching([going(3)])
    assert place.file.stat().st_size == size, "half a record does not stay"
    assert list(journal.exits) == [key(1)]
    assert list(place.open().goings) == [key(1), key(2)]
    journal = place.open()
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda _fd, _data: fail())
        journal.ended([ended(1)])
    journal.forget([key(2)])
    assert list(place.open().exits) == [key(1)]


def fail() -> int:
    raise OSError(28, "No space left on device")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(garbage=st.binary(max_size=300), at=st.integers(0, 400))
def test_no_content_of_the_file_breaks_it(place: Place, garbage: bytes, at: int) -> None:
    place.file.unlink(missing_ok=True)
    journal = place.open()
    journal.launching([going(1), going(2)])
    content = place.file.read_bytes()
    place.file.write_bytes(content[:at] + garbage + content[at:])
    again = place.open()
    assert set(again.goings) | set(again.rebooted) <= {key(1), key(2)}
    if again.id == journal.id:
        assert (
            {key(1), key(2)} == set(again.goings)
            or at + len(garbage) >= len(content)
            or b"\n" not in content[at:]
        )


@given(st.binary(max_size=100))
def test_a_line_is_a_record_only_with_its_checksum(line: bytes) -> None:
    assert decode_record(line) is None
    assert decode_record(encode_record("exit", {"jid": 1})[:-1]) == ("exit", {"jid": 1})
