"""Queues for Python, each driven by a program of ours in programs/, as its documents show."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

from bench.lab import SLOTS
from bench.peers.peer import Client, Fifo, Peer, daemon, run
from bench.peers.slurm import free_ports, wait_for
from bench.tools import Tools

PROGRAMS = Path(__file__).with_name("programs")


class Library(Peer):
    """A package from PyPI; ``program`` is ours, ``workers`` the argvs of what works its queue off."""

    package = ""
    program = ""

    def __init__(self) -> None:
        self.python = ""

    def install(self, tools: Tools) -> str:
        """From PyPI, into the cache's virtual environment."""
        version = tools.python_package(self.package)
        self.python = tools.python
        return version

    def environment(self, folder: Path, shell: str) -> dict[str, str]:
        """What our programs, and theirs that load ours, find in their environment."""
        own = {
            "BENCH_FOLDER": str(folder),
            "BENCH_SHELL": shell,
            "BENCH_SLOTS": str(SLOTS),
            "TMPDIR": str(folder),
        }
        return {**os.environ, **own, "PYTHONPATH": str(PROGRAMS)}

    def command(self, *words: str) -> list[str]:
        """The argv of our program."""
        return [self.python, str(PROGRAMS / self.program), *words]

    def workers(self) -> Sequence[Sequence[str]]:
        """The argvs of the workers."""
        return [self.command("work")] * SLOTS

    def server(
        self, folder: Path, environment: Mapping[str, str]
    ) -> AbstractContextManager[Mapping[str, str]]:
        """What the library needs besides; the environment in which it is found."""
        del folder
        return nullcontext(environment)

    def drain(self, folder: Path, shell: str, jobs: int) -> float:
        """The workers' start is part of their time."""
        with (
            self.server(folder, self.environment(folder, shell)) as environment,
            Fifo(folder / "last") as last,
            ExitStack() as stack,
        ):
            run(self.command("fill", str(jobs - 1), last.command), environment)
            begin = time.monotonic()
            workers = [
                stack.enter_context(daemon(argv, folder / f"worker.{number}.log", environment))
                for number, argv in enumerate(self.workers())
            ]
            return last.wait(workers[0] if len(workers) == 1 else None) - begin

    @contextmanager
    def accepting(self, folder: Path, *, workers: bool) -> Iterator[Client]:
        """A process of ours that puts one job into the queue."""
        with self.server(folder, self.environment(folder, "sh")) as environment, ExitStack() as stack:
            for number, argv in enumerate(self.workers() if workers else ()):
                stack.enter_context(daemon(argv, folder / f"worker.{number}.log", environment))
            yield self.client(environment)

    def client(self, environment: Mapping[str, str]) -> Client:
        """How one job is submitted."""
        return Client(self.command("put"), environment)


class Huey(Library):
    """huey with SqliteHuey and two worker processes."""

    name = "huey"
    title = f"huey, SqliteHuey, {SLOTS} worker processes"
    keeps = "SQLite database"
    package, program = "huey", "of_huey.py"

    def workers(self) -> Sequence[Sequence[str]]:
        """The consumer has its workers as children."""
        program = str(Path(self.python).with_name("huey_consumer"))
        return [[program, "of_huey.huey", "--workers", str(SLOTS), "--worker-type", "process", "--quiet"]]


class LiteQueue(Library):
    """litequeue, with two processes of ours as workers."""

    name = "litequeue"
    title = f"litequeue, {SLOTS} worker processes of ours"
    keeps = "SQLite database"
    package, program = "litequeue", "of_litequeue.py"
    note = "a library: the worker is ours, after its README"
    has_worker = False


class PersistQueue(Library):
    """persist-queue's SQLiteAckQueue, with one process of ours that has two threads."""

    name = "persist-queue"
    title = f"persist-queue SQLiteAckQueue, {SLOTS} threads of ours"
    keeps = "SQLite database"
    package, program = "persist-queue", "of_persistqueue.py"
    note = "a library: the worker is ours; threads, because its get is not safe between processes"
    has_worker = False

    def workers(self) -> Sequence[Sequence[str]]:
        """One process."""
        return [self.command("work", str(SLOTS))]


class RqRedis(Library):
    """python-rq with two workers; Redis as it is shipped: snapshots, no append-only file."""

    name = "rq-redis"
    title = f"python-rq, {SLOTS} workers, Redis"
    keeps = "Redis snapshots (as shipped: after 60 s at 10,000 changes, or later)"
    package, program = "rq", "of_rq.py"
    most_jobs = 500

    def __init__(self) -> None:
        super().__init__()
        self._server: list[str] = []
        self._libraries: Mapping[str, str] = {}

    def install(self, tools: Tools) -> str:
        """Rq from PyPI, Redis from Debian."""
        redis = tools.debian("redis-server")
        self._server = [tools.program("redis-server")]
        self._libraries = tools.libraries()
        return f"{super().install(tools)}, Redis {redis}"

    @contextmanager
    def server(self, folder: Path, environment: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
        """A Redis that listens on the loopback address only."""
        (port,) = free_ports(1)
        # A command line without a file has the same defaults for persistence as the file that is shipped.
        argv = [*self._server, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
        with daemon(argv, folder / "redis.log", self._libraries):
            wait_for(lambda: "Ready to accept" in (folder / "redis.log").read_text(errors="replace"), "Redis")
            yield {**environment, "RQ_REDIS_URL": f"redis://127.0.0.1:{port}"}

    def workers(self) -> Sequence[Sequence[str]]:
        """Its own worker, which forks for every job."""
        return [[str(Path(self.python).with_name("rq")), "worker", "--quiet"]] * SLOTS

    def client(self, environment: Mapping[str, str]) -> Client:
        """Its own command line."""
        return Client([str(Path(self.python).with_name("rq")), "enqueue", "shelljob.run"], environment)
