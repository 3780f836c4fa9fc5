"""RQ_SQL_DEBUG: every statement of a transaction as a line for people."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

#: Set in the environment (to anything but 0), it shows the SQL as it is sent to the database.
DEBUG_VARIABLE = "RQ_SQL_DEBUG"


def show_statements(connection: sqlite3.Connection, tell: Callable[[str], None]) -> None:
    """Have ``tell`` called with each statement, its parameters filled in, where the user asks for it."""
    if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
        connection.set_trace_callback(lambda sql: tell(f"sql: {' '.join(sql.split())}"))
