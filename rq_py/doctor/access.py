"""Who can write the directory, or put another in its place; whether a queue has the modes that it says."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from rq_py.doctor.finding import Finding, advice, ok, unsafe
from rq_py.queuedir import QueueDir
from rq_py.settings import Settings

_DOCUMENT = "see docs/howto/group.md"
#: How many members of a group, and how many wrong modes, are named.
_MOST_NAMES = 10


def writers(found: os.stat_result) -> list[str]:
    """Who can write what has this status: the owner, a group, everybody."""
    who = [_user(found.st_uid)]
    if found.st_mode & stat.S_IWGRP:
        who.append(f"group {_group(found.st_gid)}")
    if found.st_mode & stat.S_IWOTH:
        who.append("everybody")
    return who


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
    return ok(check, f"only {_user(found.st_uid)} can write the queue")


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
        elif settings.group and _group(found.st_gid) != settings.group:
            wrong.append(f"{path} belongs to group {_group(found.st_gid)} instead of {settings.group}")
    if not wrong:
        return ok(check, f"modes are those of a queue with access {settings.access}")
    left_out = f" and {len(wrong) - _MOST_NAMES} more" if len(wrong) > _MOST_NAMES else ""
    what = f"{', '.join(wrong[:_MOST_NAMES])}{left_out}"
    do = "have the owner restore them with chmod and chgrp"
    return unsafe(check, what, do) if is_open else advice(check, what, do)


def _wanted_modes(directory: QueueDir, settings: Settings) -> Iterator[tuple[Path, int]]:
    """Everything in the queue that is always there, and the mode that it should have."""
    for path in (directory.path, *directory.folders, *directory.path.glob("db.[0-9]*")):
        if path.suffix != ".corrupt":
            yield path, settings.directory_mode
    yield directory.settings, settings.file_mode
    yield directory.generation_hint, settings.file_mode
    for path in directory.path.glob("db.[0-9]*/*"):
        if path.parent.suffix != ".corrupt":
            yield path, settings.file_mode


def _way_to(path: Path, found: os.stat_result, *, is_queue: bool) -> Finding:
    """Whether somebody else can rename a directory on the way, and put another in its place."""
    check = "way"
    real = Path(os.path.realpath(path))
    trusted = {0, found.st_uid, os.geteuid()}
    trusted_groups = {0, found.st_gid} if found.st_mode & stat.S_IWGRP else {0}
    # What stands in a plain directory may be a queue one day; a queue's own writers are named already.
    for folder in real.parents if is_queue else (real, *real.parents):
        status = folder.stat()
        is_sticky = status.st_mode & stat.S_ISVTX
        do = f"let only its owner write {folder}, or chmod +t it"
        if status.st_mode & stat.S_IWOTH and not is_sticky:
            return unsafe(check, f"everybody can write {folder}, and so put another queue in its place", do)
        if status.st_uid not in trusted:
            return advice(
                check,
                f"{folder} belongs to {_user(status.st_uid)}, who can put another queue in its place",
                "be sure that you trust that user",
            )
        if (
            status.st_mode & stat.S_IWGRP
            and not is_sticky
            and status.st_gid not in trusted_groups
            and not _is_of_one_user(status)
        ):
            return advice(
                check,
                f"group {_group(status.st_gid)} can write {folder}, and so put another queue in its place",
                do,
            )
    return ok(check, "only root and the owner can put another directory in its place")


def _user(uid: int) -> str:
    """The name of a user; uid N where it has none here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _group(gid: int) -> str:
    """The name of a group; gid N where it has none here."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"


def _is_of_one_user(found: os.stat_result) -> bool:
    """Whether the group is the owner's own, as many systems make one for each user."""
    try:
        group, user = grp.getgrgid(found.st_gid), pwd.getpwuid(found.st_uid)
    except KeyError:
        return False
    return group.gr_gid == user.pw_gid and group.gr_name == user.pw_name and not group.gr_mem


def _members(gid: int) -> str:
    """The members of a group in brackets, as far as this node's group database lists them."""
    try:
        names = grp.getgrgid(gid).gr_mem
    except KeyError:
        return ""
    dots = " ..." if len(names) > _MOST_NAMES else ""
    return f" ({len(names)} listed: {' '.join(names[:_MOST_NAMES])}{dots})" if names else ""
