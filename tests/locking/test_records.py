"""Records and leases: what is written in place, what is read back, who is provably dead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rq_py.errors import StorageError, UsageError
from rq_py.locking.lease import NodeLease
from rq_py.locking.looks import Watch
from rq_py.locking.owner import Owner, feeder_id, node_name
from rq_py.locking.record import SIZE, Phase, Record
from tests.store.children import child

NODES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)


@given(
    st.builds(
        Record,
        st.builds(
            Owner,
            NODES,
            st.integers(0, 2**32 - 1),
            st.integers(1, 2**22),
            st.integers(0, 2**63),
            st.uuids().map(str),
        ),
        st.sampled_from(Phase),
        st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
        st.integers(0, 2**63),
    )
)
def test_a_record_is_read_back_and_is_yaml(record: Record) -> None:
    text = record.encode()
    assert len(text) == SIZE
    assert Record.decode(text) == record
    assert yaml.load(text, yaml.BaseLoader)["node"] == record.owner.node


@given(st.binary(max_size=600))
def test_any_bytes_are_a_record_or_none(data: bytes) -> None:
    Record.decode(data)


def test_a_torn_record_is_none(this_node: str) -> None:
    text = Record(Owner.of_this_process(), Phase.WRITING, "0123456789abcdef").encode()
    complete = len(text.rstrip(b"\n"))
    for length in range(complete - 1):
        found = Record.decode(text[:length])
        assert found is None or length > text.index(b"beat:")
    assert Record.decode(b"") is None
    assert Record.decode(b"\n" * SIZE) is None


def test_every_refresh_changes_the_text(this_node: str) -> None:
    record = Record(Owner.of_this_process(), Phase.WRITING, "0123456789abcdef")
    assert len({record.encode(), record.refreshed().encode(), record.refreshed().refreshed().encode()}) == 3


def test_this_process_lives_and_others_are_not_judged(this_node: str) -> None:
    me = Owner.of_this_process()
    assert not me.is_provably_dead()
    assert str(me) == f"pid {os.getpid()} of uid {os.getuid()} on {this_node}"
    for other in (
        Owner("elsewhere", me.uid, 2**22 + 1, 1, me.boot),
        Owner(me.node, me.uid, 2**22 + 1, 1, "of another boot"),
    ):
        assert not other.is_provably_dead()


def test_an_ended_process_and_a_pid_that_was_given_again_are_dead(this_node: str) -> None:
    me = Owner.of_this_process()
    assert Owner(me.node, me.uid, me.pid, me.start - 1, me.boot).is_provably_dead()
    program = "from rq_py.locking.owner import Owner\nsay(Owner.of_this_process().start)\nhear()"
    with child(program) as other:
        start = int(other.line())
        owner = Owner(me.node, me.uid, other.pid, start, me.boot)
        assert not owner.is_provably_dead()
        other.kill()
        assert owner.is_provably_dead()


@pytest.mark.parametrize("name", ["a b", "../x", "-x", ".x", "ü", "x" * 65, "a/b", "a\n"])
def test_a_node_name_that_could_not_be_a_file_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("RQ_NODE", name)
    with pytest.raises(UsageError, match="set RQ_NODE"):
        node_name()


def test_the_node_is_the_host_unless_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RQ_NODE", "")
    assert node_name() == os.uname().nodename
    monkeypatch.setenv("RQ_NODE", "n-1.example")
    assert node_name() == "n-1.example"
    assert feeder_id(node_name(), 1000) == "n-1.example.1000"


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_a_lease_changes_in_place_with_every_renewal(tmp_path: Path, this_node: str, umask: int) -> None:
    path = tmp_path / "node.0"
    lease = NodeLease(path, Owner.of_this_process(), 0o640)
    before = os.umask(umask)
    try:
        lease.renew()
    finally:
        os.umask(before)
    first = path.stat()
    assert first.st_mode & 0o777 == 0o640
    watch = Watch(path)
    seen = set()
    for _ in range(3):
        watch.look()
        seen.add(watch.content)
        lease.renew()
    assert len(seen) == 3
    assert path.stat().st_ino == first.st_ino
    assert path.stat().st_size == SIZE
    record = Record.decode(path.read_bytes())
    assert record is not None
    assert record.phase is Phase.FEEDING
    lease.remove()
    lease.remove()
    watch.look()
    assert watch.is_gone


def test_a_lease_that_cannot_be_renewed_says_so(tmp_path: Path, this_node: str) -> None:
    lease = NodeLease(tmp_path / "no" / "node.0", Owner.of_this_process(), 0o600)
    with pytest.raises(StorageError, match="cannot be renewed"):
        lease.renew()
    trap = tmp_path / "node.0"
    trap.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="cannot be renewed"):
        NodeLease(trap, Owner.of_this_process(), 0o600).renew()
    assert not (tmp_path / "elsewhere").exists()
