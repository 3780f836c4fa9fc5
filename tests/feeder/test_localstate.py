"""The node-local state: made with mode 0700 whatever the umask, refused where others could touch it."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from rq_py.errors import RqError, StorageError
from rq_py.localstate import LocalState, ensure


def test_both_levels_are_made_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o277)
    try:
        path = ensure(tmp_path / "rqpy-0" / "node-uuid")
    finally:
        os.umask(before)
    for level in (path, path.parent):
        assert stat.S_IMODE(level.stat().st_mode) == 0o700
    assert ensure(path) == path


@pytest.mark.parametrize("level", ["rqpy-0", "rqpy-0/node-uuid"])
def test_a_level_that_is_open_to_others_is_refused(tmp_path: Path, level: str) -> None:
    path = ensure(tmp_path / "rqpy-0" / "node-uuid")
    (tmp_path / level).chmod(0o750)
    with pytest.raises(RqError, match="its mode is 0750, not 0700"):
        ensure(path)


@pytest.mark.parametrize("level", ["rqpy-0", "rqpy-0/node-uuid"])
def test_a_symlink_is_refused(tmp_path: Path, level: str) -> None:
    target = ensure(tmp_path / "elsewhere" / "node-uuid")
    link = tmp_path / level
    link.parent.mkdir(mode=0o700, exist_ok=True)
    link.symlink_to(target.parent if level == "rqpy-0" else target)
    with pytest.raises(RqError, match="not a directory of this user"):
        ensure(tmp_path / "rqpy-0" / "node-uuid")


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rqpy-0").write_text("")
    with pytest.raises(RqError, match="not a directory of this user"):
        ensure(tmp_path / "rqpy-0" / "node-uuid")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it gives a directory to another user")
@pytest.mark.parametrize("level", ["rqpy-0", "rqpy-0/node-uuid"])
def test_another_users_directory_is_refused(tmp_path: Path, level: str) -> None:
    path = ensure(tmp_path / "rqpy-0" / "node-uuid")
    os.chown(tmp_path / level, 65534, 65534)
    with pytest.raises(RqError, match="belongs to uid 65534"):
        ensure(path)


def test_a_missing_root_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot make the node-local state"):
        ensure(tmp_path / "missing" / "rqpy-0" / "node-uuid")


def test_while_it_is_used_a_cleaner_cannot_lock_it(tmp_path: Path) -> None:
    path = tmp_path / "rqpy-0" / "node-uuid"
    cleaner = os.open(ensure(path), os.O_RDONLY)
    with LocalState(path), LocalState(path), pytest.raises(BlockingIOError):
        fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(cleaner)


def test_what_a_cleaner_removed_meanwhile_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rqpy-0" / "node-uuid"
    real = fcntl.flock
    calls: list[int] = []

    def flock(descriptor: int, operation: int) -> None:
        if not calls:
            path.rmdir()  # what the cleaner did before this process had its lock
        calls.append(descriptor)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with LocalState(path) as state:
        assert os.fstat(state.fd).st_ino == path.stat().st_ino
    assert len(calls) == 2
