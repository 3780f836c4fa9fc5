"""Recover: check the database, and where it is corrupt make a generation of what can still be read.

Safe with live feeders: a new generation is what they follow by themselves, and a commit that came too late
for it is one that they ask about, by token.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from rq_py.errors import Corrupt, OutcomeUnknown, RqError, StorageError
from rq_py.queuedir import Generation
from rq_py.store import salvage, successor
from rq_py.store.files import file_errors, remove_tree, sync_directory
from rq_py.store.transaction import Store


def recover(store: Store, *, break_lock: bool = False, upgrade: bool = False) -> dict[str, object]:
    """Check and, where needed, repair; returns what was found and done, for people and YAML.

    ``break_lock`` replaces the current generation at once, without its lock. ``upgrade`` brings an old schema
    up to date first; what is saved of a corrupt database has the present one. A corrupt generation stays
    beside as ``db.N.corrupt`` when jobs were lost. Raises StorageError, LockTimeout, FormatTooOld.
    """
    if not store.may_write:
        raise StorageError(f"{store.directory.path}: no permission to write: ask the queue's owner")
    found: dict[str, object] = {"q": str(store.directory.path)}
    try:
        if break_lock:
            broken = store.generations.current()
            store.generations.supersede(broken, "an operator broke its lock")
            found["broken"] = broken.path.name
        if upgrade:
            found["upgraded"] = _upgrade(store)
    except Corrupt as error:
        return found | _rebuild(store, _last(store), str(error))
    try:
        return found | _repair(store)
    except RqError as error:
        if found.get("upgraded"):
            raise StorageError(f"the schema was upgraded, but then: {error}") from error
        raise


def _upgrade(store: Store) -> list[int]:
    """Bring the schema up to date; returns the versions applied. Raises StorageError, Corrupt."""
    try:
        return store.upgrade()
    except OutcomeUnknown as error:
        raise StorageError(f"the schema may have been upgraded, say it again: {error}") from error


def _repair(store: Store) -> dict[str, object]:
    """Check, and rebuild where that is needed; returns what was found and done."""
    try:
        generation, verdict = _check(store)
    except Corrupt as error:
        generation, verdict = _last(store), str(error)
    if verdict == "ok":
        store.generations.point_at(generation)
        return {"integrity": verdict, "generation": generation.number}
    return _rebuild(store, generation, verdict)


def _check(store: Store) -> tuple[Generation, str]:
    """The current generation, and what SQLite's integrity_check says of it: ``ok``, or what is wrong."""
    with store.read() as tx, tx.beating():
        rows = tx.execute("PRAGMA integrity_check(10)").fetchall()
        return tx.generation, "; ".join(" ".join(str(row[0]).split()) for row in rows)


def _last(store: Store) -> Generation:
    """The newest generation, be it frozen or not. Raises NotAQueue."""
    numbers = store.generations.numbers()
    return store.directory.generation(numbers[-1]) if numbers else store.generations.current()


def _rebuild(store: Store, corrupt: Generation, verdict: str) -> dict[str, object]:
    """Make the next generation from the rows that can be read."""
    results: list[salvage.Salvaged] = []

    def mend(draft: Generation) -> None:
        results.append(salvage.salvage(draft.database, store.directory))
        if results[0].lost:
            _keep(store, corrupt)  # before the others go on: a day later nothing else would be left of it

    new = successor.make(store.directory, store.settings, corrupt, f"corrupt: {verdict}"[:200], mend=mend)
    store.generations.point_at(new)
    done: dict[str, object] = {"integrity": verdict, "generation": new.number, "repaired": True}
    if results:
        done |= {"jobs_saved": results[0].saved, "jobs_lost": results[0].lost}
        if results[0].lost:
            done["corrupt"] = str(_kept(corrupt))
    return done


def _kept(corrupt: Generation) -> Path:
    """The folder that keeps the corrupt files."""
    return corrupt.path.with_name(f"{corrupt.path.name}.corrupt")


def _keep(store: Store, corrupt: Generation) -> None:
    """Give the corrupt files second names that no feeder tidies away.

    The folder appears by a rename with all that is in it. So one that is there and not empty is whole, and
    nobody has to write in the folder of another member, who was killed after this.
    """
    draft = store.directory.unfinished_generation(os.urandom(8).hex()).path
    with file_errors(draft):
        try:
            draft.mkdir()
            draft.chmod(store.settings.directory_mode)
            for path in (corrupt.database, corrupt.journal):
                with suppress(FileNotFoundError):
                    os.link(path, draft / path.name)
            sync_directory(draft)
            os.rename(draft, _kept(corrupt))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        finally:
            remove_tree(draft)
