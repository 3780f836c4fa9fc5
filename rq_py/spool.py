"""A spool: rows kept outside of the queue between a transaction and whoever reads or writes slowly.

Small ones stay in memory; larger ones go to a node-local file that has no name, so that nothing is
left behind whatever happens. Rows are JSON there: nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, cast

from rq_py.errors import StorageError

#: Rows, and characters of text in them, that stay in memory; the rest goes to the file.
ROWS_IN_MEMORY = 4096
TEXT_IN_MEMORY = 4 << 20
#: What a text in a list counts for besides its characters: about the bytes that an object and its place take.
_ITEM = 50


class Spool:
    """Rows of None, int, float, str and lists of str, appended once and read again and again.

    ``rows_per_line`` is how many are written, and held in memory, at a time. With ``is_encoded`` each row
    that is appended is the text of a JSON array, as SQLite makes it of its columns.
    """

    def __init__(self, rows_per_line: int = 64, *, is_encoded: bool = False) -> None:
        self._rows_per_line = rows_per_line
        self._is_encoded = is_encoded
        self._memory: list[Sequence[object]] = []
        self._pending: list[Sequence[object]] = []
        self._file: IO[str] | None = None
        self._count = 0
        self._text = 0

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return self._count

    def append(self, row: Sequence[object]) -> None:
        """Add a row. Raises StorageError when the node-local disk is full."""
        self._count += 1
        if not self._pending and self._file is None and self._fits(row):
            self._memory.append(row)
            return
        self._pending.append(row)
        if len(self._pending) == self._rows_per_line:
            with _spool_errors():
                self._write_pending()

    def _fits(self, row: Sequence[object]) -> bool:
        """Whether memory takes one row more."""
        for value in (row,) if self._is_encoded else row:
            if isinstance(value, str):
                self._text += len(value)
            elif isinstance(value, list):
                self._text += sum(map(len, value)) + len(value) * _ITEM
        return self._count <= ROWS_IN_MEMORY and self._text <= TEXT_IN_MEMORY

    def _write_pending(self) -> None:
        """Send the pending rows to the file as one line."""
        import json

        if self._file is None:
            import tempfile

            self._file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115
        rows = ",".join(map(str, self._pending)) if self._is_encoded else json.dumps(self._pending)[1:-1]
        self._file.write(f"[{rows}]\n")
        self._pending = []

    def __iter__(self) -> Iterator[Sequence[object]]:
        """All rows in order. Two iterations at once are not possible once there is a file."""
        yield from self._decoded(self._memory)
        if self._file is None:
            yield from self._decoded(self._pending)
            return
        import json

        with _spool_errors():
            if self._pending:
                self._write_pending()
            self._file.seek(0)
        for line in self._file:
            yield from json.loads(line)

    def _decoded(self, rows: list[Sequence[object]]) -> Iterable[Sequence[object]]:
        """Rows that were kept as they came."""
        if not self._is_encoded:
            return rows
        import json

        return map(json.loads, cast("list[str]", rows))


@contextmanager
def _spool_errors() -> Iterator[None]:
    """Turn an OSError inside into a StorageError of one line."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"no room for a temporary file on this node: {error.strerror}: set TMPDIR"
        ) from error
