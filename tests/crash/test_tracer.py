"""The tool of the sweeps itself: what it does to a call really happens, and to that call only."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.calls import Call
from tests.crash.tracer import GO, Deed, Fail, Kill, Shorten, Trace, is_possible

pytestmark = pytest.mark.skipif(not is_possible(), reason="this machine lets nobody trace, or is no x86_64")


def _at(name: str, file: Path, deed: Deed) -> Callable[[Call], Deed]:
    """That deed to each call ``name`` of ``file``."""
    return lambda call: deed if call.kind.name == name and call.path() == str(file) else GO


def _write_and_rename(folder: Path) -> Callable[[], int]:
    def program() -> int:
        written = (folder / "new").write_bytes(b"12345678")
        os.rename(folder / "new", folder / "old")
        return written

    return program


def test_without_a_fault_all_calls_are_seen_and_made(tmp_path: Path) -> None:
    seen: list[str] = []

    def judge(call: Call) -> Deed:
        if call.path().startswith(str(tmp_path)) and call.has_effect:
            seen.append(str(call))
        return GO

    assert Trace(_write_and_rename(tmp_path), judge).run() == 8
    assert seen == ["openat new", "write new", "close new", "rename new"]
    assert (tmp_path / "old").read_bytes() == b"12345678"


def test_a_kill_comes_before_the_call(tmp_path: Path) -> None:
    assert (
        Trace(_write_and_rename(tmp_path), _at("rename", tmp_path / "new", Kill())).run() == -signal.SIGKILL
    )
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert (tmp_path / "new").read_bytes() == b"12345678"


def test_a_call_fails_and_is_not_made(tmp_path: Path) -> None:
    def program() -> int:
        try:
            return _write_and_rename(tmp_path)()
        except OSError as error:
            return error.errno or 0

    assert Trace(program, _at("rename", tmp_path / "new", Fail(errno.EDQUOT))).run() == errno.EDQUOT
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_close_that_fails_has_closed(tmp_path: Path) -> None:
    def program() -> int:
        descriptor = os.open(tmp_path / "new", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            os.close(descriptor)
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            os.fstat(descriptor)
        return 0

    assert Trace(program, _at("close", tmp_path / "new", Fail(errno.EIO))).run() == 0


def test_a_short_write_writes_so_much(tmp_path: Path) -> None:
    def program() -> int:
        descriptor = os.open(tmp_path / "new", os.O_WRONLY | os.O_CREAT)
        return os.write(descriptor, b"12345678")

    assert Trace(program, _at("write", tmp_path / "new", Shorten(3))).run() == 3
    assert (tmp_path / "new").read_bytes() == b"123"


def test_threads_are_traced_and_other_programs_run_on(tmp_path: Path) -> None:
    def program() -> int:
        thread = threading.Thread(target=(tmp_path / "thread").mkdir)
        thread.start()
        thread.join()
        subprocess.run(["mkdir", str(tmp_path / "child")], check=True)
        return 0

    seen: list[str] = []

    def judge(call: Call) -> Deed:
        if call.kind.name == "mkdir":
            seen.append(str(call))
        return GO

    assert Trace(program, judge).run() == 0
    assert seen == ["mkdir thread"]
    assert (tmp_path / "child").is_dir()


def test_only_the_programs_that_are_asked_for_are_killed(tmp_path: Path) -> None:
    def program() -> int:
        (tmp_path / "parent").mkdir()
        done = subprocess.run(["mkdir", str(tmp_path / "child")], check=False)
        return -done.returncode

    def is_mkdir(pid: int) -> bool:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"mkdir\0")

    judge: Callable[[Call], Deed] = lambda call: Kill() if call.kind.name == "mkdir" else GO  # noqa: E731
    assert Trace(program, judge, is_mkdir).run() == signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["parent"]
