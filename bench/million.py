"""The modes that read or change many jobs, at a million jobs: seconds, memory, how long the lock was held.

    python bench/million.py [JOBS] [--files] [--in DIR]

Every mode is a process of its own, as a user starts it, with its output to /dev/null. Its memory is the peak
RSS that wait4(2) reports; the floor of that is this program's own, so it stays small and imports no rq_py.
Meanwhile another process does short transactions, as feeders do: its longest wait is about as long as the
lock was held at most, up to 50 ms more because waiters pause, and more yet where this machine is busy.

Beside each mode stands a physical neighbour, measured right after it on the same rows: the least that SQLite,
cp or the file system need for the same. Its database is a copy without any queue around it. ``--files`` gives
every job that has ended two small streams, which are linked and removed one by one: allow minutes for a
million.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

#: Looks at the queue until its stdin ends, then prints the longest that a look has taken, in seconds.
_PROBER = """
import select, sys, time
from rq_py import Queue
queue, longest = Queue(sys.argv[1]), 0.0
queue.recent(1)
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.02)[0]:
    begin = time.perf_counter()
    queue.recent(1)
    longest = max(longest, time.perf_counter() - begin)
print(longest)
"""

#: What a feeder would have written; one job of a hundred failed.
_FINISH = """
    UPDATE jobs SET state = 'finished', attempt = 1, token = 'bench.' || jid,
        feeder = 'bench.0', runner = 'bench', pid = 4711,
        started = '2026-11-20 15:06:49.514387Z', finished = '2026-11-20 15:07:49.514387Z',
        elapsed = jid % 60 + 0.125, exit_status = (jid % 100 = 0),
        user_cpu = 0.01, system_cpu = 0.002, max_rss = 3538944
"""
_INSERT = """
    INSERT INTO jobs (priority, state, submitted, submitter, cwd, command)
    VALUES (0, 'pending', '2026-11-20 15:06:49.514387Z', 'bench', '/', ?)
"""
_STATUS = """
    SELECT state, count(*), min(elapsed), avg(elapsed), max(elapsed), sum(exit_status <> 0)
    FROM jobs GROUP BY state
"""


class Prober:
    """Somebody else who uses the queue, in a process of its own, for the time of a ``with`` block."""

    def __init__(self, queue: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROBER, str(queue)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Prober:
        if self._process.stdout is None or self._process.stdout.readline() != "ready\n":
            sys.exit("the prober cannot use the queue")
        return self

    def longest(self) -> float:
        """End it, and return the seconds that its longest transaction took."""
        return float(self._process.communicate()[0])

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


class Bench:
    """One queue in ``folder`` with ``jobs`` jobs; prints a line of YAML for everything measured."""

    def __init__(self, folder: Path, jobs: int, *, files: bool) -> None:
        self._folder = folder
        self._queue = folder / "q"
        self._copy = folder / "copy.db"
        self._jobs = jobs
        self._files = files

    # --- measuring ---------------------------------------------------------------------------------------

    def rqpy(
        self, *words: str, neighbour: Callable[[], None] | None = None, stdin: Path | None = None
    ) -> None:
        """Run a mode and print what it took; then its ``neighbour``."""
        with Prober(self._queue) as prober, open(stdin or os.devnull, "rb") as source:
            begin = time.perf_counter()
            process = subprocess.Popen(self._command(*words), stdin=source, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                sys.exit(f"rqpy {' '.join(words)} ended with {process.returncode}")
            longest = prober.longest()
        figures: dict[str, object] = {
            "mode": " ".join(words).replace(f"{self._folder}/", ""),
            "seconds": round(seconds, 2),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
            "peak_rss_mb": round(usage.ru_maxrss / 1024),
            "lock_held_seconds": round(longest, 3),
        }
        if neighbour is not None:
            figures |= self._beside(neighbour, seconds)
        # Flow style without the quotes of JSON is YAML too, and is read more easily.
        pairs = ", ".join(f"{name}: {json.dumps(value)}" for name, value in figures.items())
        sys.stdout.write(f"- {{{pairs}}}\n")
        sys.stdout.flush()

    def _beside(self, neighbour: Callable[[], None], ours: float) -> dict[str, object]:
        """The figures of the neighbour."""
        begin = time.perf_counter()
        neighbour()
        seconds = time.perf_counter() - begin
        return {
            "neighbour": (neighbour.__doc__ or "").rstrip("."),
            "neighbour_seconds": round(seconds, 2),
            "times": round(ours / seconds, 1),
        }

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "rq_py", str(self._queue), *words]

    # --- the queue ---------------------------------------------------------------------------------------

    def make(self) -> None:
        """Make the queue and submit the jobs, from a file of lines."""
        shutil.rmtree(self._queue, ignore_errors=True)
        subprocess.run(self._command("create"), check=True, stdout=subprocess.DEVNULL)
        self.copy_database()
        lines = self._folder / "commands"
        with lines.open("w", encoding="ascii") as file:
            file.writelines(f"true {number}\n" for number in range(self._jobs))
        self.rqpy("submit", "--quiet", "--cwd", "/", "-", stdin=lines, neighbour=self.insert)

    def end_jobs(self) -> None:
        """Make all jobs finished, behind the queue's back, with streams where they were asked for."""
        with closing(sqlite3.connect(self._database, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = PERSIST")
            connection.execute(_FINISH)
        if self._files:
            for folder in ("stdout", "stderr"):
                self.write_files(self._queue / folder)

    def write_files(self, folder: Path) -> None:
        """Write a small file for each job."""
        folder.mkdir(exist_ok=True)
        for jid in range(1, self._jobs + 1):
            descriptor = os.open(f"{folder}/{jid}", os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(descriptor, b"a line\n")
            os.close(descriptor)

    @property
    def _database(self) -> Path:
        return (self._queue / "db").resolve()

    # --- neighbours: their docstrings are printed --------------------------------------------------------

    def copy_database(self) -> None:
        """Copying the bytes of the database, and fsync."""
        shutil.copyfile(self._database, self._copy)
        with self._copy.open("rb") as file:
            os.fsync(file.fileno())

    def insert(self) -> None:
        """One INSERT of each row in one transaction."""
        with closing(sqlite3.connect(self._copy)) as connection, connection:
            connection.executemany(_INSERT, ((f"true {number}",) for number in range(self._jobs)))

    def select(self) -> None:
        """SELECT * of all rows, fetched by Python."""
        for _ in self._rows("SELECT * FROM jobs"):
            pass

    def select_json(self) -> None:
        """SELECT * of all rows, each through json.dumps."""
        with open(os.devnull, "w", encoding="utf-8") as null:
            for row in self._rows("SELECT * FROM jobs"):
                null.write(json.dumps(row) + "\n")

    def aggregate(self) -> None:
        """One aggregating SELECT by state."""
        for _ in self._rows(_STATUS):
            pass

    def count_failed(self) -> None:
        """SELECT count(*) of the same condition."""
        for _ in self._rows("SELECT count(*) FROM jobs WHERE exit_status <> 0"):
            pass

    def _rows(self, sql: str) -> Iterator[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            yield from connection.execute(sql)

    def update_all(self) -> None:
        """One UPDATE of a column of all rows."""
        self._change("UPDATE jobs SET priority = 7")

    def resubmit_all(self) -> None:
        """One UPDATE of all rows from finished to pending."""
        self._change("UPDATE jobs SET state = 'pending', started = NULL, finished = NULL")

    def delete_all(self) -> None:
        """One DELETE of all rows, and an unlink loop where there are streams."""
        self._change("DELETE FROM jobs WHERE state = 'finished'")
        if self._files:
            for folder in ("stdout", "stderr"):
                for jid in range(1, self._jobs + 1):
                    os.unlink(f"{self._folder}/{folder}/{jid}")

    def move_all(self) -> None:
        """Copying the database, one DELETE of all rows, and a rename loop where there are streams."""
        shutil.copyfile(self._copy, self._folder / "moved.db")
        self._change("DELETE FROM jobs WHERE state = 'finished'")
        if self._files:
            (self._folder / "moved").mkdir()
            for folder in ("stdout", "stderr"):
                for jid in range(1, self._jobs + 1):
                    os.rename(f"{self._folder}/{folder}/{jid}", f"{self._folder}/moved/{folder}.{jid}")

    def _change(self, sql: str) -> None:
        with closing(sqlite3.connect(self._copy)) as connection, connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(sql)

    def prepare_neighbour(self) -> None:
        """Give the neighbour the database as it is now, and files as many."""
        self.copy_database()
        if self._files:
            for folder in ("stdout", "stderr"):
                self.write_files(self._folder / folder)


def run(bench: Bench, folder: Path) -> None:
    """Measure one mode after the other."""
    bench.make()
    bench.copy_database()
    bench.rqpy("update", "--quiet", "pending", "priority=7", neighbour=bench.update_all)
    bench.rqpy("update", "pending", "priority=8")
    bench.end_jobs()
    bench.rqpy("list", neighbour=bench.select)
    bench.rqpy("list", "--output", "jsonl", neighbour=bench.select_json)
    bench.rqpy("status", neighbour=bench.aggregate)
    bench.rqpy("query", "exit_status=1", neighbour=bench.count_failed)
    bench.rqpy("snapshot", str(folder / "snapshot"), neighbour=bench.copy_database)
    bench.rqpy("resubmit", "--quiet", "finished", neighbour=bench.resubmit_all)
    bench.end_jobs()
    bench.prepare_neighbour()
    bench.rqpy("rotate", str(folder / "rotation"), neighbour=bench.move_all)
    bench.make()
    bench.end_jobs()
    bench.prepare_neighbour()
    bench.rqpy("delete", "--quiet", "finished", neighbour=bench.delete_all)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("jobs", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--files", action="store_true", help="give every job that has ended two streams")
    parser.add_argument(
        "--in", dest="place", metavar="DIR", help="where to make the queue; TMPDIR unless given"
    )
    options = parser.parse_args()
    os.environ["RQ_NODE"] = f"bench-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="rqpy-bench-", dir=options.place) as name:
        run(Bench(Path(name), options.jobs, files=options.files), Path(name))


if __name__ == "__main__":
    main()
