"""Jobs that have ended, without a feeder: rows and stream files as one would leave them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rq_py import Queue
from rq_py.queuedir import QueueDir


def end(queue: Queue, jids: Iterable[int], state: str = "finished", reason: str | None = None) -> None:
    """Let jobs have been claimed once and have ended."""
    with queue.store.write() as tx:
        tx.executemany(
            """UPDATE jobs SET state = ?, reason = ?, attempt = attempt + 1, token = 'j.' || jid,
                   runner = 'n', feeder = 'n.0', pid = 1,
                   started = submitted, finished = submitted, elapsed = 1.5,
                   exit_status = CASE WHEN ? = 'finished' THEN 0 END WHERE jid = ?""",
            [(state, reason, state, jid) for jid in jids],
        )


def write_streams(queue: Queue, jids: Iterable[int]) -> None:
    """What the jobs have written."""
    for jid in jids:
        for name in ("stdout", "stderr"):
            path = queue.dir.stream(name, jid)
            path.write_text(f"{name} of {jid}\n")
            path.chmod(queue.settings.file_mode)


def jids(queue: Queue) -> list[int]:
    """The jobs in a queue, or in a copy of one."""
    return [job.jid for job in queue.jobs()]


def assert_files(directory: QueueDir, jid: int) -> None:
    """All files of a job of the fixture ``used`` are in ``directory``, and as they were."""
    assert directory.stream("stdin", jid).read_text() == f"input {jid}\n"
    for name in ("stdout", "stderr"):
        assert directory.stream(name, jid).read_text() == f"{name} of {jid}\n"
    if jid == 1:
        assert (directory.data(1) / "deep" / "file").read_text() == "deep data\n"
        assert (directory.data(1) / "link").readlink() == Path("deep/file")
    if jid == 2:
        assert directory.data(2).read_text() == "deep data\n"


def files_of(directory: QueueDir, jid: int) -> list[Path]:
    """The files that a job has."""
    paths = [*(directory.stream(name, jid) for name in ("stdin", "stdout", "stderr")), directory.data(jid)]
    return [path for path in paths if path.exists()]
