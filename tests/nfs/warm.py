"""Run on a node: forks processes of rqpy from one that has imported all, because starting Python is slow.

warm.py FOLDER: each file N.request that appears in it is run (JSON: words, stop, log, stdin). It leaves
N.out, N.err and N.done, which holds the exit status or minus the signal. With "log" it is a submit of the
lines of stdin, which the oracle hears of through that file; "stop" is action, moment and mark (stops.py).
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.nfs import stops
from tests.oracle import submit

_INTERVAL = 0.05  # seconds
_IMPORTED = ("arguments", "context", "group", "submit", "status", "recover", "failure")


def main(folder: Path) -> None:
    """Serve, for ever."""
    for name in _IMPORTED:
        importlib.import_module(f"rq_py.cli.{name}")
    importlib.import_module("rq_py.store.successor")
    folder.mkdir(parents=True)
    (folder / "ready").touch()
    running: dict[int, Path] = {}
    while True:
        for path in sorted(folder.glob("*.request")):
            request = json.loads(path.read_text(encoding="utf-8"))
            path.unlink()
            running[fork(path.with_suffix(""), request["stdin"], partial(run, **request))] = path
        while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            path = running.pop(ended[0])
            finish(path.with_suffix(".done"), os.waitstatus_to_exitcode(ended[1]))
        time.sleep(_INTERVAL)


def finish(path: Path, status: int) -> None:
    """Say at once how it ended."""
    new = path.with_suffix(".new")
    new.write_text(f"{status}\n", encoding="ascii")
    new.rename(path)


def fork(path: Path, stdin: str, work: Callable[[], int]) -> int:
    """Have a child do ``work``, with stdin, stdout and stderr in files beside ``path``; its pid."""
    path.with_suffix(".in").write_text(stdin, encoding="utf-8")
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        for number, suffix, flags in ((0, ".in", os.O_RDONLY), (1, ".out", _NEW), (2, ".err", _NEW)):
            descriptor = os.open(path.with_suffix(suffix), flags, 0o644)
            os.dup2(descriptor, number)
            os.close(descriptor)
        status = work()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the child must never go on in the parent's loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def run(words: Sequence[str], stop: Sequence[str] | None, log: str | None, stdin: str) -> int:
    """Be ``rqpy`` with these arguments, or a submitter (then they are the queue and options of submit)."""
    if log is None:
        return rqpy(words, stop)

    def forked(argv: Sequence[str], **given: Any) -> subprocess.CompletedProcess[str]:
        path = Path(log).with_name(f".{Path(log).name}.rqpy")
        _, status = os.waitpid(fork(path, given["input"], lambda: rqpy(argv, stop)), 0)
        said = [path.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".out", ".err")]
        return subprocess.CompletedProcess(argv, os.waitstatus_to_exitcode(status), *said)

    submit.subprocess.run = forked  # type: ignore[attr-defined]
    queue, *options = words
    print(submit.submit(submit.Log(Path(log)), (), queue, stdin.splitlines(), options).outcome)
    return 0


def rqpy(words: Sequence[str], stop: Sequence[str] | None) -> int:
    """Be ``rqpy``; returns only by SystemExit."""
    kept = stops.install(*stop) if stop else []
    sys.argv[1:] = words
    from rq_py.cli.main import main as real

    real()
    del kept
    return 0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
