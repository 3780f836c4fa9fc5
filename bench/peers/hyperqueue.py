"""HyperQueue on this one node, in a network of its own, because it listens on all addresses."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.case import CannotRun
from bench.lab import SLOTS
from bench.peers.libraries import Library
from bench.peers.peer import Fifo
from bench.tools import Tools

#: A network namespace with nothing but the loopback device, for the command that follows.
_ALONE = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


class HyperQueue(Library):
    """HyperQueue's server and one worker with two cores, in one process."""

    name = "hyperqueue"
    title = f"HyperQueue, one worker of {SLOTS} cores"
    package, program = "hyperqueue", "of_hyperqueue.py"
    most_jobs = 2000
    note = "tasks of one job, through its Python API: the package on PyPI has no hq program and no journal"
    can_submit = has_worker = False

    def install(self, tools: Tools) -> str:
        """From PyPI."""
        version = super().install(tools)
        if subprocess.run([*_ALONE, "true"], capture_output=True, check=False).returncode:
            raise CannotRun(
                "it listens on all addresses, and unshare --net does not work here to keep it apart"
            )
        return version

    def drain(self, folder: Path, shell: str, jobs: int) -> float:
        """One job with many tasks, which wait until the worker is started."""
        with Fifo(folder / "last") as last:
            argv = [*_ALONE, *self.command(str(jobs - 1), last.command)]
            with _conversation(argv, folder, self.environment(folder, shell)) as process:
                begin = time.monotonic()
                if process.stdin is not None:
                    process.stdin.write(b"go\n")
                    process.stdin.flush()
                return last.wait(process) - begin


@contextmanager
def _conversation(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that has said that it is ready; it ends with its stdin."""
    with (folder / "program.log").open("wb") as log:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=folder
        )
    try:
        if process.stdout is None or b"ready\n" not in process.stdout:  # after what it says about itself
            raise CannotRun(
                f"it did not start: {(folder / 'program.log').read_text(errors='replace')[-300:]}"
            )
        yield process
    finally:
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
