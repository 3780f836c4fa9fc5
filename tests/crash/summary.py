"""What a queue and its copies say: all that counts, and nothing that differs from run to run."""

from __future__ import annotations

import copy
import os
import re
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, cast

#: Columns that differ from run to run: times, and the tokens and names that follow from who ran it.
_VOLATILE = frozenset({"submitted", "submitter", "token", "feeder", "started", "finished", "elapsed"})
_SETTING = re.compile(r"^(uuid|created):.*\n", re.MULTILINE)
#: What makes no two trees different: a generation's number, and names that hold a token.
_NUMBER = re.compile(r"db\.[0-9]+")

#: One directory or archive: what it says, as something that can be compared and shown.
Said = dict[str, object]

#: Older releases of Python 3.11 know no filters, newer ones warn without (PEP 706).
_TRUSTED: dict[str, Any] = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}


def summary(folder: Path) -> dict[str, Said]:
    """The queue ``q`` in ``folder`` and everything whole in ``out``, by path."""
    found: dict[str, Said] = {}
    for path in [folder / "q", *sorted((folder / "out").iterdir())]:
        if path.name.startswith(".") or not path.exists():
            continue
        name = str(path.relative_to(folder))
        if path.name.endswith(".tgz"):
            with tempfile.TemporaryDirectory(dir=folder.parent) as place, tarfile.open(path) as archive:
                archive.extractall(place, **_TRUSTED)  # noqa: S202  (it is the rotation of a test)
                found[name] = of_queue(next(Path(place).iterdir()))
        elif (path / "queue.yml").exists():
            found[name] = of_queue(path)
        else:
            found[name] = {"tree": sorted(map(str, path.rglob("*")))}
    return found


def of_queue(queue: Path) -> Said:
    """The settings, the jobs with what they have of streams and data, and SQLite's verdict."""
    try:
        return _of_queue(queue)
    except sqlite3.DatabaseError as error:
        return {"unreadable": str(error)}


def _of_queue(queue: Path) -> Said:
    settings = _SETTING.sub("", (queue / "queue.yml").read_text())
    numbers = [int(path.name[3:]) for path in queue.glob("db.*") if path.name[3:].isdecimal()]
    with closing(
        sqlite3.connect(queue / f"db.{max(numbers)}" / "queue.db", isolation_level=None)
    ) as database:
        # As rqpy opens it: the journal must outlive this.
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        database.execute("PRAGMA journal_mode=PERSIST")
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute("SELECT * FROM jobs ORDER BY jid")]
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    jobs = []
    for row in rows:
        job = {name: value for name, value in row.items() if name not in _VOLATILE}
        for kind in ("stdin", "data"):
            if row[f"has_{kind}"]:
                job[kind] = _content(queue / kind / str(row["jid"]))
        for kind in ("stdout", "stderr"):
            job[kind] = _content(queue / kind / str(row["jid"]))
        jobs.append(job)
    return {"settings": settings, "schema": version, "jobs": jobs, "integrity": verdict}


def without_gaps(found: dict[str, Said]) -> dict[str, Said]:
    """The same with the jobs counted through: a new generation leaves jids out for late submits."""
    said = copy.deepcopy(found)
    for one in said.values():
        for position, job in enumerate(cast("list[dict[str, object]]", one.get("jobs", []))):
            job["jid"] = position
    return said


def _content(path: Path) -> object:
    if path.is_dir():
        return {
            str(name.relative_to(path)): _content(name) for name in sorted(path.rglob("*")) if name.is_file()
        }
    return path.read_text() if path.exists() else None


def tree(folder: Path) -> list[str]:
    """All names in ``q`` and ``out``, with generations without their numbers."""
    names = [name for part in ("q", "out") for name in (folder / part).rglob("*")]
    return sorted(_NUMBER.sub("db.N", str(name.relative_to(folder))) for name in names)


def age(folder: Path, seconds: float) -> None:
    """Let everything in ``folder`` be as old as if it had been left ``seconds`` ago."""
    for name in folder.rglob("*"):
        found = name.lstat()
        os.utime(name, (found.st_atime - seconds, found.st_mtime - seconds), follow_symlinks=False)


def differences(one: object, other: object, where: str = "") -> list[str]:
    """Where two summaries differ, each a short line."""
    if isinstance(one, dict) and isinstance(other, dict):
        lines = []
        for key in sorted({*one, *other}, key=str):
            lines += differences(one.get(key), other.get(key), f"{where}/{key}")
        return lines
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            line
            for n, (a, b) in enumerate(zip(one, other, strict=True))
            for line in differences(a, b, f"{where}/{n}")
        ]
    return [] if one == other else [f"{where}: {str(one)[:120]} instead of {str(other)[:120]}"]
