"""Records every transition of a job in the database itself, and reads all of it back. Standard library only.

    python audit.py install QUEUE     right after ``rqpy QUEUE create``, before anybody else uses the queue
    python audit.py dump QUEUE        prints rows, transitions and integrity as one JSON document

The table lies in the database, so it is copied with it: a transition of which a new generation knows nothing
did not happen. The triggers fire in the transaction that changes the row, whoever makes it.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

#: What is noted of a row, before and after.
WATCHED = ("state", "attempt", "token", "restartable", "reason", "feeder", "runner", "exit_status", "signal")

#: What is read of a row at the end.
ROW = ("jid", "tag", *WATCHED, "started", "finished", "command")


def _names(prefix: str) -> str:
    return ", ".join(f"{prefix}{name}" for name in WATCHED)


def _trigger(event: str, when: str, jid: str, old: bool, new: bool) -> str:
    nulls = ", ".join("NULL" for _ in WATCHED)
    columns = ", ".join([_names("old_"), _names("new_")])
    values = ", ".join([_names("OLD.") if old else nulls, _names("NEW.") if new else nulls])
    return f"""
        CREATE TRIGGER oracle_{event} AFTER {when} ON jobs BEGIN
            INSERT INTO oracle_audit (event, generation, jid, tag, {columns})
            VALUES ('{event}', (SELECT max(number) FROM generation), {jid}.jid, {jid}.tag, {values});
        END
    """  # noqa: S608


SCHEMA = (
    f"""
        CREATE TABLE oracle_audit (
            seq INTEGER PRIMARY KEY, event TEXT NOT NULL, generation INTEGER NOT NULL, jid INTEGER NOT NULL,
            tag TEXT, {_names("old_")}, {_names("new_")})
    """,
    _trigger("insert", "INSERT", "NEW", old=False, new=True),
    # Also where a value is set to what it was before: a terminal state that is written twice is to be seen.
    _trigger("update", f"UPDATE OF {', '.join(WATCHED)}, finished", "NEW", old=True, new=True),
    _trigger("delete", "DELETE", "OLD", old=True, new=False),
)


def current_database(queue: Path) -> Path:
    """The database of the last generation that is there."""
    numbers = [int(match[1]) for path in queue.iterdir() if (match := re.fullmatch(r"db\.(\d+)", path.name))]
    return queue / f"db.{max(numbers)}" / "queue.db"


def install(queue: Path) -> None:
    """Begin to record; ``queue`` is new, and nobody else uses it yet."""
    with closing(sqlite3.connect(current_database(queue), isolation_level=None)) as connection:
        # As rqpy opens it: the journal must outlive this transaction, too.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=PERSIST")
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute("COMMIT")


def dump(queue: Path) -> dict[str, object]:
    """All that the database says; what cannot be read is left out, and ``integrity`` says why."""
    database = current_database(queue)
    found: dict[str, object] = {"generation": int(database.parent.name[3:]), "rows": [], "audit": None}
    troubles = []
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        names = ", ".join(ROW)
        for what, sql in (
            ("opening", "PRAGMA locking_mode=EXCLUSIVE"),
            ("opening", "PRAGMA journal_mode=PERSIST"),
            ("rows", f"SELECT {names} FROM jobs NOT INDEXED ORDER BY jid"),  # noqa: S608
            ("audit", "SELECT * FROM oracle_audit ORDER BY seq"),
            ("verdicts", "PRAGMA integrity_check(5)"),
        ):
            try:
                found[what] = [dict(row) for row in connection.execute(sql)]
            except sqlite3.Error as error:
                # A rotation of a queue that nobody watched has no audit; that is not its fault.
                if what != "audit":
                    troubles.append(f"{what}: {error}")
    found.pop("opening", None)
    verdicts = found.pop("verdicts", [])
    assert isinstance(verdicts, list)
    troubles += [str(row["integrity_check"]) for row in verdicts]
    found["integrity"] = "ok" if troubles == ["ok"] else "; ".join(troubles)
    return found


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    match arguments:
        case ["install", queue]:
            install(Path(queue))
        case ["dump", queue]:
            json.dump(dump(Path(queue)), sys.stdout)
            print()
        case _:
            sys.stderr.write("usage: audit.py install|dump QUEUE\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
