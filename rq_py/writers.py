"""Who can write a queue: the directories and files that it consists of, and the way to it. Modes, no ACLs."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from rq_py.queuedir import QueueDir

EVERYBODY = "everybody"

#: The kernel's own limit of symlinks in one path, path_resolution(7).
_MOST_LINKS = 40


class Replacer(NamedTuple):
    """Somebody who can put another directory in the place of what lies in ``folder``, or of that itself."""

    folder: Path
    who: str
    is_owner: bool


def writers(found: os.stat_result) -> list[str]:
    """Who can write what has this status: the owner, a group, everybody."""
    who = [user_name(found.st_uid)]
    if found.st_mode & stat.S_IWGRP:
        who.append(f"group {group_name(found.st_gid)}")
    if found.st_mode & stat.S_IWOTH:
        who.append(EVERYBODY)
    return who


def folders(directory: QueueDir) -> list[Path]:
    """The queue and the directories in it that are its own."""
    generations = [path for path in directory.path.glob("db.[0-9]*") if path.suffix != ".corrupt"]
    return [directory.path, *directory.folders, *generations]


def files(directory: QueueDir) -> list[Path]:
    """The files that say what is in the queue: settings, and all of every generation."""
    generations = [path for path in directory.path.glob("db.[0-9]*/*") if path.parent.suffix != ".corrupt"]
    return [directory.settings, directory.generation_hint, *generations]


def openings(directory: QueueDir) -> Iterator[tuple[Path, str]]:
    """What users other than root could use to have a feeder of this queue do their will, and what they can.

    The stdin and data of single jobs are left out: there can be very many, and who could write them is
    told by their directories. Raises OSError.
    """
    parts = [*folders(directory), *files(directory), *directory.bin.glob("*")]
    for path in parts:
        try:
            found = path.stat()
        except FileNotFoundError:
            # It is not always there, or somebody has removed it just now; or it is a link to nothing.
            if path.is_symlink() and (maker := _maker_of_target(path)) is not None:
                yield path, f"leads nowhere, and {maker.who} can make what it leads to, in {maker.folder}"
            continue
        if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            who = [name for name in writers(found) if name != user_name(0)]
            yield path, f"{' and '.join(who)} can write it"
    # A link leads to a directory of its own, with a way of its own.
    for path in (directory.path, *filter(Path.is_symlink, parts)):
        for replacer in replacers(path, users={0}, groups={0}):
            yield replacer.folder, f"{replacer.who} can put another queue in its place"


def _maker_of_target(link: Path) -> Replacer | None:
    """Who else than root can make what the dangling ``link`` leads to. Raises OSError."""
    *_, (folder, found) = way_to(link)  # the last is where the first name that is missing was looked up
    return replacer_in(folder, found, users={0}, groups={0}, is_missing=True)


def replacers(path: Path, users: Collection[int], groups: Collection[int]) -> Iterator[Replacer]:
    """Who else than ``users`` and members of ``groups`` can put something else in the place of ``path``.

    Raises OSError.
    """
    for place, found in way_to(path):
        if (replacer := replacer_in(place, found, users, groups)) is not None:
            yield replacer


def replacer_in(
    place: Path,
    found: os.stat_result,
    users: Collection[int],
    groups: Collection[int],
    *,
    is_missing: bool = False,
) -> Replacer | None:
    """Who else than these can replace what lies in the directory ``place``, or the symlink ``place``.

    Where ``is_missing``, nothing lies there yet: who can make it.
    """
    # In a sticky directory each owner replaces what is theirs, but whoever writes it makes what is not there;
    # the modes of a link mean nothing.
    is_shut = (found.st_mode & stat.S_ISVTX and not is_missing) or stat.S_ISLNK(found.st_mode)
    if found.st_mode & stat.S_IWOTH and not is_shut:
        return Replacer(place, EVERYBODY, is_owner=False)
    if found.st_uid not in users:
        return Replacer(place, user_name(found.st_uid), is_owner=True)
    if (
        found.st_mode & stat.S_IWGRP
        and not is_shut
        and found.st_gid not in groups
        and not _is_of_one_user(found)
    ):
        return Replacer(place, f"group {group_name(found.st_gid)}", is_owner=False)
    return None


def way_to(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Each directory in which a name of ``path`` is looked up, symlinks followed.

    A symlink in a sticky directory is one of them, because it is its owner's to replace. Where a directory is
    missing the way ends. Raises OSError.
    """
    place, names, links = Path("/"), list(reversed(path.absolute().parts[1:])), 0
    while names:
        try:
            found = place.stat()
        except FileNotFoundError:
            return
        yield place, found
        name = names.pop()
        entry = place.parent if name == ".." else place / name
        if name == ".." or not entry.is_symlink():
            place = entry
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        if found.st_mode & stat.S_ISVTX:
            yield entry, entry.lstat()
        target = Path(os.readlink(entry))
        if target.is_absolute():
            place = Path("/")
        names += reversed(target.parts[1:] if target.is_absolute() else target.parts)


def user_name(uid: int) -> str:
    """The name of a user; uid N where it has none here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def group_name(gid: int) -> str:
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
