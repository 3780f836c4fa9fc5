"""Where everything of a queue is: paths inside the queue directory, and of the node-local state.

Knows names only: it neither creates nor opens anything. Nothing stored in a queue holds an absolute
path of the queue, because nodes may mount it in different places.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

STREAMS = ("stdin", "stdout", "stderr")

#: Node-local state follows from uid, node and queue uuid alone, never from the environment:
#: cron has no XDG_RUNTIME_DIR and logind deletes it. It must not be on NFS.
LOCAL_ROOT = Path("/var/tmp")


class Generation(NamedTuple):
    """The paths of generation N of the database, ``Q/db.N``."""

    number: int
    path: Path

    @property
    def database(self) -> Path:
        """The SQLite database."""
        return self.path / "queue.db"

    @property
    def journal(self) -> Path:
        """SQLite's rollback journal, which always exists (journal_mode=PERSIST)."""
        return self.path / "queue.db-journal"

    @property
    def lock(self) -> Path:
        """The file under the fcntl lock; its content names the holder."""
        return self.path / "lock"

    @property
    def frozen(self) -> Path:
        """Empty while the generation lives."""
        return self.path / "frozen"

    @property
    def maker(self) -> Path:
        """The token of the process that made this generation."""
        return self.path / "maker"


class QueueDir(NamedTuple):
    """The paths of one queue directory."""

    path: Path

    @property
    def settings(self) -> Path:
        """Identity and settings, for programs and people."""
        return self.path / "queue.yml"

    @property
    def generation_hint(self) -> Path:
        """A hint which generation is current; the truth is the first that is not frozen."""
        return self.path / "generation"

    @property
    def database_link(self) -> Path:
        """Relative symlink to the current database, for people; the program does not use it."""
        return self.path / "db"

    @property
    def bin(self) -> Path:
        """First on every job's PATH."""
        return self.path / "bin"

    @property
    def feeders(self) -> Path:
        """The leases of the feeders, one file ``<node>.<uid>`` each."""
        return self.path / "feeders"

    @property
    def inbox(self) -> Path:
        """Job files dropped by tools that know nothing but rename(2)."""
        return self.path / "inbox"

    def generation(self, number: int) -> Generation:
        """The paths of generation ``number``."""
        return Generation(number, self.path / f"db.{number}")

    def unfinished_generation(self, token: str) -> Generation:
        """Where the process with ``token`` prepares the next generation before its rename."""
        return Generation(0, self.path / f"db.tmp.{token}")

    def stream(self, name: str, jid: int) -> Path:
        """The file of stream ``name`` (stdin, stdout or stderr) of job ``jid``."""
        if name not in STREAMS:
            raise ValueError(name)
        return self.path / name / str(jid)

    def data(self, jid: int) -> Path:
        """The data (a file or a directory) of job ``jid``."""
        return self.path / "data" / str(jid)

    def staged(self, kind: str, token: str) -> Path:
        """Where a submit keeps stdin or data (``kind``) under its ``token`` until there is a jid."""
        return self.path / kind / f".{token}"

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that ``create`` makes, besides the first generation."""
        kinds = (*STREAMS, "data")
        return (*(self.path / kind for kind in kinds), self.bin, self.feeders, self.inbox)


def local_state_path(uid: int, node: str, uuid: str) -> Path:
    """The node-local state of user ``uid`` for the queue ``uuid`` on ``node``."""
    return LOCAL_ROOT / f"rqpy-{uid}" / f"{node}-{uuid}"
