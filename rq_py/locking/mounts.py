"""What the file system under a queue can promise, read from /proc/self/mountinfo (proc(5))."""

from __future__ import annotations

import os
import re
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from rq_py.errors import UnsafeMount

_MOUNTINFO = Path("/proc/self/mountinfo")
_RECOVER_LOST_LOCKS = Path("/sys/module/nfs/parameters/recover_lost_locks")

_LOCAL_TYPES = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "reiserfs", "rootfs"}
    | {"tmpfs", "xfs", "zfs"}
)

#: Mount options under which locks or errors lie (nfs(5)), and why each is refused.
_UNSAFE_OPTIONS = {
    "nolock": "locks would exclude this node only",
    "local_lock=all": "locks would exclude this node only",
    "local_lock=posix": "locks would exclude this node only",
    "soft": "a slow server would make writes fail half-way",
    "softerr": "a slow server would make writes fail half-way",
    "nocto": "this node would read stale files",
}


class Fence(Enum):
    """Who keeps a holder that lost its lock from writing on."""

    KERNEL = "kernel"  # a local file system: a lock goes away only with its process
    SERVER = "server"  # NFSv4: a client whose lease ran out gets EIO on the files that it had locked
    NOBODY = "nobody"  # NFSv3 and everything unknown


class Mount(NamedTuple):
    """One mount: where, which file system, and the options of mount and superblock.

    ``source`` is the device or the export that is mounted.
    """

    point: str
    filesystem: str
    options: frozenset[str]
    source: str = ""

    @property
    def is_nfs(self) -> bool:
        """Whether this is a mount of NFS."""
        return self.filesystem in {"nfs", "nfs4"}

    @property
    def nfs_version(self) -> tuple[int, int] | None:
        """The version of the protocol, (4, 2) for ``vers=4.2``; None for what is not NFS or does not say."""
        for option in self.options if self.is_nfs else ():
            match = re.fullmatch(r"(?:nfs)?vers=(\d+)(?:\.(\d+))?", option)
            if match:
                return int(match[1]), int(match[2] or 0)
        return None

    @property
    def is_local(self) -> bool:
        """Whether the page cache of this kernel is all that there is between processes."""
        return self.filesystem in _LOCAL_TYPES

    @property
    def fence(self) -> Fence:
        """Who fences a lost holder here."""
        if self.is_local:
            return Fence.KERNEL
        # A v4 mount is of type nfs4, or of type nfs with vers=4.x, depending on how it was mounted.
        if self.filesystem == "nfs4" or any(option.startswith("vers=4") for option in self.options):
            return Fence.SERVER
        return Fence.NOBODY


def _unescape(text: str) -> str:
    """Undo the octal escapes of proc(5): space, tab, newline and backslash."""
    if "\\" not in text:  # as nearly always, and a node may have hundreds of mounts
        return text
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def parse_mountinfo(text: str) -> list[Mount]:
    """The mounts in the text of a mountinfo file, in its order: later ones lie over earlier ones."""
    mounts = []
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        left_fields, right_fields = left.split(" "), right.split(" ")
        if not separator or len(left_fields) < 6 or len(right_fields) < 3:
            continue
        options = frozenset(left_fields[5].split(",")) | frozenset(right_fields[2].split(","))
        source = _unescape(right_fields[1])
        mounts.append(Mount(_unescape(left_fields[4]), right_fields[0], options, source))
    return mounts


def mount_of(path: Path, mounts: list[Mount] | None = None) -> Mount:
    """The mount that holds ``path`` (which need not exist itself)."""
    if mounts is None:
        text = _MOUNTINFO.read_bytes().decode("utf-8", "surrogateescape")
        mounts = parse_mountinfo(text)
    real = os.path.realpath(path)
    best = Mount("/", "unknown", frozenset())
    for mount in mounts:
        point = mount.point.rstrip("/") + "/"
        if (real + "/").startswith(point) and len(mount.point) >= len(best.point):
            best = mount
    return best


def check(path: Path, mount: Mount | None = None) -> None:
    """Refuse a mount on which the queue at ``path`` cannot keep its promises.

    Raises UnsafeMount, which names the option and what to do.
    """
    mount = mount or mount_of(path)
    for option, why in refused_options(mount):
        raise UnsafeMount(f"{mount.point}: is mounted with {option}, {why}: mount it without {option}")
    # nfs.recover_lost_locks=1 would take a lost lock back silently, though others had it in between.
    if mount.is_nfs and recovers_lost_locks():
        raise UnsafeMount(
            f"{mount.point}: the kernel has nfs.recover_lost_locks=1 and would hide a lost lock: set it to 0"
        )


def refused_options(mount: Mount) -> list[tuple[str, str]]:
    """The options for which a mount of NFS is refused, and why each is."""
    if not mount.is_nfs:
        return []
    return [(option, why) for option, why in _UNSAFE_OPTIONS.items() if option in mount.options]


def recovers_lost_locks() -> bool:
    """Whether the kernel's NFS client takes lost locks back without saying so."""
    try:
        return _RECOVER_LOST_LOCKS.read_text(encoding="ascii").strip() in {"1", "Y"}
    except OSError:
        return False
