"""The runner's journal: which jobs were told to go, how they ended, and which ends a feeder has confirmed.

Lines of ``<crc32, 8 hex digits> <JSON object>``; the first is the header. What was written survives a
``kill -9`` of every process, because the page cache is the kernel's. It is not forced to the disk record
by record: a power cut ends the jobs as well, and after it (another boot id) the journal gets a new
identity, so that nobody takes the absence of a record for a proof.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from rq_py.errors import ProtocolError, RunnerError
from rq_py.runner.identity import boot_id
from rq_py.runner.protocol import take_key
from rq_py.runner.statedir import JOURNAL

FORMAT = 1

#: Bytes from which on the journal is written anew, if most of it is about confirmed jobs.
COMPACT_AT = 1024 * 1024

#: One attempt of one job: jid, attempt, token.
Key = tuple[int, int, str]

#: The content of a record.
Record = dict[str, object]

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def encode_record(kind: str, content: object) -> bytes:
    """Return a record as a line of the journal."""
    text = _encode({kind: content}).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode_record(line: bytes) -> tuple[str, Record] | None:
    """Return kind and content of the record in ``line`` (without its newline), or None if it is damaged."""
    try:
        if int(line[:8], 16) != zlib.crc32(line[9:]) or line[8:9] != b" ":
            return None
        ((kind, content),) = json.loads(line[9:]).items()
    except (ValueError, AttributeError):
        return None
    return (kind, content) if isinstance(content, dict) else None


class Journal:
    """The journal of one directory, loaded, and open for appending.

    ``goings`` are the jobs that were launched and have not ended as far as is known, ``exits`` those that
    have ended and are not confirmed, ``rebooted`` those that had not ended when the machine was booted anew.
    """

    def __init__(self, directory: int, log: Callable[[str], None]) -> None:
        """Load the journal in ``directory`` (a descriptor); the caller keeps other runners out of it.

        Raises:
            RunnerError: a newer rqpy wrote it.
            OSError: it cannot be read.

        """
        self.id = os.urandom(8).hex()
        self.goings: dict[Key, Record] = {}
        self.exits: dict[Key, Record] = {}
        self.rebooted: dict[Key, Record] = {}
        self._directory = directory
        self._log = log
        self._fd = -1
        self._size = 0
        self._records = 0
        self._compact_at = COMPACT_AT
        self._owed: list[bytes] = []
        self._load()
        try:
            self._rewrite()
        except OSError as error:
            log(f"cannot write the journal, no job will be launched: {error}")

    def knows(self, key: Key) -> bool:
        """Tell whether this attempt is in the journal and not forgotten."""
        return key in self.goings or key in self.exits or key in self.rebooted

    # --- writing -------------------------------------------------------------------------------------

    def launching(self, jobs: Sequence[Record]) -> None:
        """Record that ``jobs`` are about to be told to go; each holds its key, pid, start, restartable, at.

        Raises:
            OSError: that could not be written; nothing of it is in the journal, and none of them may go.

        """
        self._append([encode_record("going", job) for job in jobs])
        self.goings.update((take_key(job), job) for job in jobs)

    def ended(self, exits: Sequence[Record]) -> None:
        """Record how jobs ended. What cannot be written now is kept in memory and tried again later."""
        for record in exits:
            key = take_key(record)
            self.goings.pop(key, None)
            self.exits[key] = record
        self._append_or_owe([encode_record("exit", record) for record in exits])

    def forget(self, keys: Iterable[Key]) -> None:
        """Record that these attempts need not be known any longer; those that are not known are skipped."""
        known = [key for key in keys if self.knows(key)]
        for key in known:
            for place in (self.exits, self.goings, self.rebooted):
                place.pop(key, None)
        names = ("jid", "attempt", "token")
        self._append_or_owe([encode_record("confirmed", dict(zip(names, key, strict=True))) for key in known])

    def _append_or_owe(self, lines: Sequence[bytes]) -> None:
        try:
            self._append(lines)
        except OSError as error:
            if not self._owed:
                self._log(f"cannot write the journal, exits are kept in memory: {error}")
            self._owed += lines

    def _append(self, lines: Sequence[bytes]) -> None:
        """Append all of ``lines``, after what is owed, or nothing."""
        if not lines:
            return
        if self._fd < 0:
            self._rewrite()
        elif self._size > self._compact_at and self._records > 2 * self._living():
            with suppress(OSError):  # a full disk: the old file still does, and it is tried again later
                self._rewrite()
        data = b"".join([*self._owed, *lines])
        try:
            _write_all(self._fd, data)
        except OSError:
            self._cut()
            raise
        self._size += len(data)
        self._records += len(self._owed) + len(lines)
        self._owed.clear()

    def _cut(self) -> None:
        """Remove what a failed write left at the end, or give the file up for the next rewrite."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            os.close(self._fd)
            self._fd = -1

    def _living(self) -> int:
        return len(self.goings) + len(self.exits) + len(self.rebooted)

    def _rewrite(self) -> None:
        """Put a new file with the living records only in the place of the old one, or leave that as it is."""
        header = {"journal": self.id, "boot": boot_id(), "format": FORMAT}
        lines = [encode_record("header", header)]
        for kind, records in (("going", self.goings), ("exit", self.exits), ("rebooted", self.rebooted)):
            lines += [encode_record(kind, record) for record in records.values()]
        data = b"".join(lines)
        new = JOURNAL + ".new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(new, flags, 0o600, dir_fd=self._directory)
        try:
            _write_all(fd, data)
            os.rename(new, JOURNAL, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except OSError:
            os.close(fd)
            self._compact_at = self._size + COMPACT_AT
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._size, self._records = fd, len(data), len(lines)
        self._compact_at = COMPACT_AT
        self._owed.clear()  # the living records held it

    # --- reading -------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Take over what an earlier runner's journal says, and its id if nothing of it is missing."""
        try:
            fd = os.open(JOURNAL, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._directory)
        except FileNotFoundError:
            return
        with open(fd, "rb") as file:
            lines = file.read().split(b"\n")
        torn = lines.pop()  # what follows the last newline: a write that was cut short; nothing acted on it
        if torn:
            self._log(f"the journal ends in an unfinished record of {len(torn)} bytes, which is left out")
        first = decode_record(lines[0]) if lines else None
        header = first[1] if first is not None and first[0] == "header" else {}
        if header and header.get("format") != FORMAT:
            raise RunnerError("the runner's journal was written by a newer rqpy: upgrade this one")
        damaged = not header
        for line in lines[1:]:
            record = decode_record(line)
            if record is None or not self._take_over(*record):
                damaged = True
        journal = header.get("journal")
        if header.get("boot") != boot_id():
            self.rebooted |= self.goings
            self.goings.clear()
        elif damaged or not isinstance(journal, str):
            self._log("the journal is damaged: it gets a new id, so that no absence counts as a proof")
        else:
            self.id = journal

    def _take_over(self, kind: str, content: Record) -> bool:
        try:
            key = take_key(content)
        except ProtocolError:
            return False
        places = {"going": self.goings, "exit": self.exits, "rebooted": self.rebooted}
        for place in places.values():
            place.pop(key, None)
        if kind in places:
            places[kind][key] = content
        return kind in places or kind == "confirmed"


def _write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``. After a short write the next one tells the reason as an OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
