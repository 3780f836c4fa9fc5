"""A queue in a folder that is put back before every try, and rqpy run on it, with or without a fault."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import rq_py
from tests.crash.calls import Call
from tests.crash.tracer import Deed, Trace
from tests.torture.processes import kill_all

#: Seconds that one command may take, however busy the machine is; more is a hang.
PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended: its exit status (negative: the signal), and what it printed."""

    status: int
    stdout: str
    stderr: str


class Hangs(Exception):
    """A command did not end."""


def preload() -> None:
    """Import all of rq_py, so that a fork of this process spends its calls on its operation."""
    for module in pkgutil.walk_packages(rq_py.__path__, "rq_py."):
        if not module.name.endswith("__main__") and module.name != "rq_py.rqmailer":
            importlib.import_module(module.name)
    for name in ("yaml", "psutil", "sqlite3", "tempfile", "json", "encodings.ascii", "encodings.idna", "grp"):
        importlib.import_module(name)
    gc.disable()
    gc.freeze()


class World:
    """The folder ``now``: the queue ``q``, what commands read in ``in``, and what they make in ``out``."""

    def __init__(self, folder: Path, node: str) -> None:
        self.folder = folder / "now"
        self._kept = folder / "kept"
        self._out, self._err = folder / "stdout", folder / "stderr"
        self.queue = self.folder / "q"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "RQ_NODE": node,
            "PYTHONPATH": str(Path(rq_py.__file__).parent.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def make(self, fill: Callable[[World], None]) -> None:
        """Make the folder anew and keep it as it is then."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self._kept, ignore_errors=True)
        for name in ("in", "out"):
            (self.folder / name).mkdir(parents=True)
        fill(self)
        shutil.copytree(self.folder, self._kept, symlinks=True)

    def put_back(self) -> None:
        """Put the folder back as it was kept."""
        shutil.rmtree(self.folder)
        shutil.copytree(self._kept, self.folder, symlinks=True)

    def end(self) -> None:
        """End what is left of our node's processes, and remove its local state."""
        node = self.environment["RQ_NODE"]
        kill_all(node)
        for path in Path("/var/tmp").glob(f"rqpy-*/{node}-*"):
            shutil.rmtree(path)

    def rqpy(self, words: Sequence[str], stdin: str = "") -> Result:
        """Run ``rqpy`` without any fault. Raises Hangs."""
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                status = self._program(words, stdin)()
            finally:
                os._exit(status)
        with _deadline(lambda: os.kill(pid, signal.SIGKILL)):
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return self._result(status)

    def good(self, *words: str, stdin: str = "") -> str:
        """Run ``rqpy QUEUE words`` to its good end; its stdout."""
        result = self.rqpy((str(self.queue), *words), stdin)
        if result.status != 0:
            raise AssertionError(f"{words}: {result}")
        return result.stdout

    def traced(
        self,
        words: Sequence[str],
        judge: Callable[[Call], Deed],
        stdin: str = "",
        whose: Callable[[int], bool] | None = None,
    ) -> Result:
        """Run ``rqpy`` with ``judge`` deciding about its calls; ``whose`` as in Trace. Raises Hangs."""
        trace = Trace(self._program(words, stdin), judge, whose)
        with _deadline(lambda: os.kill(trace.root, signal.SIGKILL)):
            status = trace.run()
        return self._result(status)

    def in_fork(self, work: Callable[[], object]) -> str:
        """Do something in a process of its own, with our environment; '' or the line of its error."""
        pid = os.fork()
        if pid == 0:
            try:
                self._settle_in("")
                work()
            except BaseException as error:  # noqa: BLE001
                os.write(2, f"{type(error).__name__}: {error}".encode())
            os._exit(0)
        with _deadline(lambda: os.kill(pid, signal.SIGKILL)):
            os.waitpid(pid, 0)
        return self._result(0).stderr

    def _program(self, words: Sequence[str], stdin: str) -> Callable[[], int]:
        def program() -> int:
            from rq_py.cli.main import run

            self._settle_in(stdin)
            sys.argv = ["rqpy", *words]
            try:
                return run(words)
            except SystemExit as end:
                return end.code if isinstance(end.code, int) else 1

        return program

    def _settle_in(self, stdin: str) -> None:
        """In the child: be a process that was just started."""
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(self.environment)
        text = os.memfd_create("stdin")
        os.write(text, stdin.encode())
        os.lseek(text, 0, os.SEEK_SET)
        os.dup2(text, 0)
        os.close(text)
        for descriptor, path in ((1, self._out), (2, self._err)):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(file, descriptor)
            os.close(file)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115

    def _result(self, status: int) -> Result:
        return Result(status, self._out.read_text(errors="replace"), self._err.read_text(errors="replace"))


@contextmanager
def _deadline(end: Callable[[], None]) -> Iterator[None]:
    """Raise Hangs in the block when it takes longer than PATIENCE, after ``end``."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        end()
        raise Hangs(f"no end after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
