"""Puts back what an edit had put aside when its process died before the COMMIT.

An edit renames the new streams and data into place inside its transaction and keeps what was there beside, as
``.<token>.<jid>.aside``; its COMMIT notes the token. So what lies aside for a token that nobody has noted is
what the job's row is about.
"""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

from rq_py.queuedir import QueueDir
from rq_py.store.files import server_time, sync_directory

_ASIDE = r"\.([0-9a-f]+)\.([0-9]{1,18})\.aside"
#: Seconds for which what lies aside is believed: tokens are remembered for a day only (store/tokens.py).
_KEEP_SECONDS = 43200.0


def put_back(connection: sqlite3.Connection, directory: QueueDir) -> None:
    """Do so under the queue lock, in a transaction. It may be killed anywhere and is then simply done again.

    Raises OSError, sqlite3.Error.
    """
    aside_name = re.compile(_ASIDE)  # only here: every submit imports this module, hardly any comes here
    for kind in ("stdin", "data"):
        folder = directory.path / kind
        names = os.listdir(folder) if folder.is_dir() else []  # a snapshot has none
        found = [match for name in names if (match := aside_name.fullmatch(name))]
        if not found:
            continue
        oldest = server_time(folder) - _KEEP_SECONDS
        for match in found:
            sql = "SELECT 1 FROM submits WHERE token = ?"
            if connection.execute(sql, (match[1],)).fetchone() is None:
                aside = folder / match[0]
                if aside.lstat().st_mtime > oldest:
                    _restore(aside, folder / match[2])
        sync_directory(folder)


def _restore(aside: Path, target: Path) -> None:
    """Give ``target`` what lies ``aside``; what was there gets the name under which it was staged."""
    if os.path.lexists(target):
        if os.path.samestat(aside.lstat(), target.lstat()):
            aside.unlink()  # a second name; it was killed before it renamed anything
            return
        os.rename(target, aside.with_suffix(""))
    os.rename(aside, target)
