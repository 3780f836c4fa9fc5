"""Who can write the directory, or put another in its place; whether a queue has the modes that it says."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from rq_py.doctor.finding import Finding, advice, ok, unsafe
from rq_py.queuedir import QueueDir
from rq_py.settings import Settings
from rq_py.writers import (
    EVERYBODY,
    files,
    folders,
    group_name,
    replacer_in,
    replacers,
    user_name,
    writers,
)

_DOCUMENT = "see docs/howto/group.md"
#: How many members of a group, and how many wrong modes, are named.
_MOST_NAMES = 10


def findings(path: Path, settings: Settings | None) -> Iterator[Finding]:
    """What there is to say of the permissions of ``path``, a queue where it has settings. Raises OSError."""
    found = path.stat()
    if settings is None:
        yield ok(
            "writers", f"{', '.join(writers(found))} can write {path}; a queue made in it has its own modes"
        )
    else:
        yield _writers_of_queue(path, found, settings)
        yield _modes_of_queue(QueueDir(path), settings)
    yield _way_to(path, found, is_queue=settings is not None)


def _writers_of_queue(path: Path, found: os.stat_result, settings: Settings) -> Finding:
    """Name those who can run commands as everyone that feeds."""
    check = "writers"
    warning = "whoever can write the queue runs commands as everyone who feeds it"
    who = ", ".join(writers(found))
    if found.st_mode & stat.S_IWOTH:
        return unsafe(
            check,
            f"{warning}: {who}",
            f"chmod o-w {path} and all in it; to share it with some, use create --group; {_DOCUMENT}",
        )
    if "system.posix_acl_access" in os.listxattr(path):
        return advice(check, f"{warning}: {who}, and perhaps others by its ACL", f"see getfacl {path}")
    if found.st_mode & stat.S_IWGRP:
        what = f"{warning}: {who}{_members(found.st_gid)}"
        if settings.access == "group":
            return ok(check, what)
        return advice(
            check, what, f"chmod g-w {path} and all in it, or share it by create --group; {_DOCUMENT}"
        )
    if found.st_uid == 0:
        return advice(
            check,
            f"{warning}: root; jobs run as root",
            "let another user create and feed the queue where jobs need not be root",
        )
    return ok(check, f"only {user_name(found.st_uid)} can write the queue")


def _modes_of_queue(directory: QueueDir, settings: Settings) -> Finding:
    """Compare modes and groups with what ``queue.yml`` says of the access."""
    check = "queue_modes"
    wrong, is_open = [], False
    for path, wanted in _wanted_modes(directory, settings):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        mode = stat.S_IMODE(found.st_mode)
        if mode != wanted:
            wrong.append(f"{path} has {mode:04o} instead of {wanted:04o}")
            is_open = is_open or bool(mode & stat.S_IWOTH)
        elif settings.group and group_name(found.st_gid) != settings.group:
            wrong.append(f"{path} belongs to group {group_name(found.st_gid)} instead of {settings.group}")
    if not wrong:
        return ok(check, f"modes are those of a queue with access {settings.access}")
    left_out = f" and {len(wrong) - _MOST_NAMES} more" if len(wrong) > _MOST_NAMES else ""
    what = f"{', '.join(wrong[:_MOST_NAMES])}{left_out}"
    do = "have the owner restore them with chmod and chgrp"
    return unsafe(check, what, do) if is_open else advice(check, what, do)


def _wanted_modes(directory: QueueDir, settings: Settings) -> Iterator[tuple[Path, int]]:
    """Everything in the queue that is always there, and the mode that it should have."""
    for path in folders(directory):
        yield path, settings.directory_mode
    for path in files(directory):
        yield path, settings.file_mode


def _way_to(path: Path, found: os.stat_result, *, is_queue: bool) -> Finding:
    """Whether somebody else can rename a directory on the way, and put another in its place."""
    check = "way"
    users = {0, found.st_uid, os.geteuid()}
    groups = {0, found.st_gid} if found.st_mode & stat.S_IWGRP else {0}
    candidates = list(replacers(path, users, groups))
    if not is_queue and (within := replacer_in(path, found, users, groups)) is not None:
        candidates.append(within)  # it may hold a queue one day; a queue's own writers are named already
    if not candidates:
        return ok(check, "only root and the owner can put another directory in its place")
    # The one that matters most, and of these the nearest to the queue.
    folder, who, is_owner = min(reversed(candidates), key=lambda replacer: replacer.who != EVERYBODY)
    if is_owner:
        return advice(
            check,
            f"{folder} belongs to {who}, who can put another queue in its place",
            "be sure that you trust that user",
        )
    return (unsafe if who == EVERYBODY else advice)(
        check,
        f"{who} can write {folder}, and so put another queue in its place",
        f"let only its owner write {folder}, or chmod +t it",
    )


def _members(gid: int) -> str:
    """The members of a group in brackets, as far as this node's group database lists them."""
    try:
        names = grp.getgrgid(gid).gr_mem
    except KeyError:
        return ""
    dots = " ..." if len(names) > _MOST_NAMES else ""
    return f" ({len(names)} listed: {' '.join(names[:_MOST_NAMES])}{dots})" if names else ""
