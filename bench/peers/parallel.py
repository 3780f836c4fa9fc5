"""GNU parallel: with a log of what is done, and with its queue in an SQLite table."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.case import CannotRun
from bench.lab import SLOTS
from bench.peers.peer import Client, Peer, run
from bench.tools import Tools


class ParallelJoblog(Peer):
    """``parallel --joblog``: the jobs come from stdin, what is done is logged."""

    name = "parallel-joblog"
    title = "GNU parallel --joblog"
    keeps = "log of what is done (--resume); the queue is its stdin"
    can_submit = has_worker = False
    most_jobs = 1000
    _program = "parallel"
    _environment: dict[str, str]

    def install(self, tools: Tools) -> str:
        """Debian has it; the module for SQLite is another package."""
        version = tools.debian("parallel")
        self._program = tools.program("parallel")
        self._environment = tools.libraries()
        return version

    def _environment_in(self, folder: Path, shell: str) -> dict[str, str]:
        """Whose shell it is; ``will-cite`` is what it asks of people at a terminal."""
        home = folder / "home"
        home.mkdir(exist_ok=True)
        (home / "will-cite").touch()
        own = {"PARALLEL_SHELL": f"/bin/{shell}", "PARALLEL_HOME": str(home), "TMPDIR": str(folder)}
        return {**self._environment, **own}

    def drain(self, folder: Path, shell: str, jobs: int) -> float:
        """Its own start and end are part of its time."""
        environment = self._environment_in(folder, shell)
        begin = time.monotonic()
        run(
            [self._program, f"-j{SLOTS}", "--joblog", f"{folder}/log"], environment,
            text="true\n" * jobs, cwd=folder,
        )  # fmt: skip
        seconds = time.monotonic() - begin
        lines = [line.split("\t") for line in (folder / "log").read_text(encoding="utf-8").splitlines()[1:]]
        check(sum(fields[6] == "0" for fields in lines), jobs)
        return seconds


class ParallelSql(ParallelJoblog):
    """``parallel --sqlmaster`` and ``--sqlworker`` on one table."""

    name = "parallel-sql"
    title = "GNU parallel --sqlworker, SQLite"
    keeps = "SQLite table"
    can_submit = True
    most_jobs = 200

    def install(self, tools: Tools) -> str:
        """It reaches SQLite through Perl's DBI."""
        tools.debian("libdbd-sqlite3-perl")
        return super().install(tools)

    def drain(self, folder: Path, shell: str, jobs: int) -> float:
        """One call fills the table, another one works it off."""
        environment = self._environment_in(folder, shell)
        table = database(folder)
        fill = [self._program, "--sqlmaster", table, "true", "#"]
        run(fill, environment, text="".join(f"{number}\n" for number in range(jobs)), cwd=folder)
        begin = time.monotonic()
        run([self._program, f"-j{SLOTS}", "--sqlworker", table], environment, cwd=folder)
        seconds = time.monotonic() - begin
        with closing(sqlite3.connect(folder / "queue.db")) as connection:
            ((good,),) = connection.execute("SELECT count(*) FROM jobs WHERE Exitval = 0")
        check(good, jobs)
        return seconds

    @contextmanager
    def accepting(self, folder: Path, *, workers: bool) -> Iterator[Client]:
        """``--sqlmaster`` again and again: a + before the table's name means to add."""
        del workers
        environment = self._environment_in(folder, "sh")
        table = database(folder)
        run([self._program, "--sqlmaster", table, "true", "#"], environment, text="0\n", cwd=folder)
        yield Client([self._program, "--sqlmaster", f"+{table}", "true", ":::"], environment)

    has_worker = False


def database(folder: Path) -> str:
    """The table's DBURL: slashes in the path of the database are escaped."""
    path = f"{folder}/queue.db".replace("/", "%2F")
    return f"sqlite3:///{path}/jobs"


def check(good: int, jobs: int) -> None:
    """Raise CannotRun where not all jobs ended well."""
    if good != jobs:
        raise CannotRun(f"{good} of {jobs} jobs ran well")
