"""The floor of a bulk submit: the same rows by one executemany, in a process of its own.

    python bench/plaininsert.py DATABASE COUNT

DATABASE is a fresh one of a queue, so the table and its indexes are the same, and as durable.
"""

import sqlite3
import sys

INSERT = """
    INSERT INTO jobs (jid, priority, state, submitted, submitter, required_runner, has_stdin, has_data,
                      tag, restartable, cwd, env, command)
    VALUES (?, 0, 'pending', '2026-11-20 15:06:49.514387Z', 'bench', NULL, 0, 0, NULL, 0, '/', NULL, ?)
"""


def main() -> None:
    """Insert and commit."""
    connection = sqlite3.connect(sys.argv[1])
    connection.execute("PRAGMA journal_mode = PERSIST")
    connection.execute("PRAGMA synchronous = FULL")
    with connection:
        connection.executemany(INSERT, ((jid, f"true {jid}") for jid in range(1, int(sys.argv[2]) + 1)))


if __name__ == "__main__":
    main()
