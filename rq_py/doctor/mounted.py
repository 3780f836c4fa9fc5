"""What the mount promises: file system, protocol version, options. Tries nothing."""

from __future__ import annotations

from collections.abc import Iterator

from rq_py.doctor.finding import Finding, advice, ok, unsafe
from rq_py.locking.mounts import Mount, refused_options

#: Local file systems that are gone after a reboot.
_IN_MEMORY = frozenset({"ramfs", "rootfs", "tmpfs"})
#: From this version on the server calls clients back and tells them of lost locks (RFC 8881).
_BEST_NFS = (4, 1)


def facts(mount: Mount) -> dict[str, object]:
    """The mount as it is reported."""
    found: dict[str, object] = {
        "mount": mount.point,
        "source": mount.source,
        "type": mount.filesystem,
        "options": ",".join(sorted(mount.options)),
    }
    if mount.nfs_version:
        found["nfs"] = _version_text(mount.nfs_version)
    return found


def findings(mount: Mount, *, recovers_lost_locks: bool) -> Iterator[Finding]:
    """What there is to say of ``mount``; the second is of the kernel's NFS client."""
    yield _file_system(mount)
    if mount.is_nfs:
        yield from _nfs_options(mount, recovers_lost_locks)
        yield _nfs_version(mount)
    if "ro" in mount.options:
        yield advice(
            "read_only",
            f"{mount.point} is mounted read-only: nothing can be submitted or fed from this node",
            "mount it with rw on nodes that shall submit or feed",
        )
    if "noexec" in mount.options:
        yield advice(
            "noexec",
            f"{mount.point} is mounted noexec: jobs cannot run the programs in the queue's bin",
            "mount it without noexec, or keep the programs elsewhere",
        )


def _file_system(mount: Mount) -> Finding:
    """What kind of file system it is."""
    check = "filesystem"
    if mount.is_nfs:
        return ok(check, f"{mount.point} is NFS, {mount.source}")
    if mount.filesystem in _IN_MEMORY:
        return advice(
            check,
            f"{mount.point} is {mount.filesystem}: a queue there is gone when this machine reboots",
            "use a disk for jobs that matter",
        )
    if mount.is_local:
        return ok(
            check, f"{mount.point} is {mount.filesystem}, a local disk: it is for this machine's jobs only"
        )
    return advice(
        check,
        f"{mount.point} is {mount.filesystem}: rqpy knows nothing of its locks and caches, so whoever loses "
        "the lock is stopped by nobody, and the database is copied whenever a holder was lost",
        "believe the other checks, and doctor --peer on two nodes; where you have a choice, use NFS 4.1",
    )


def _nfs_options(mount: Mount, recovers_lost_locks: bool) -> Iterator[Finding]:
    """What ``create`` and ``feed`` refuse."""
    check = "mount_options"
    refused = refused_options(mount)
    for option, why in refused:
        yield unsafe(
            check,
            f"{mount.point} is mounted with {option}: {why}; create and feed refuse it",
            f"mount it without {option} on every node",
        )
    if not refused:
        yield ok(check, f"{mount.point} has no option that makes locks or errors lie")
    if recovers_lost_locks:
        yield unsafe(
            "recover_lost_locks",
            "nfs.recover_lost_locks=1: this kernel would take a lost lock back without saying so, though "
            "others had it in between; create and feed refuse it",
            "echo N > /sys/module/nfs/parameters/recover_lost_locks, and remove it from /etc/modprobe.d",
        )
    else:
        yield ok("recover_lost_locks", "this kernel says so when a lock was lost")


def _nfs_version(mount: Mount) -> Finding:
    """Whether the protocol has leases, and call-backs."""
    check, version = "nfs_version", mount.nfs_version
    do = "mount it with vers=4.2, or vers=4.1"
    if version is None:
        return advice(check, f"{mount.point} does not say which version of NFS it uses", do)
    if version >= _BEST_NFS:
        return ok(check, f"NFS {_version_text(version)}: the server fences a node that lost its locks")
    if version[0] == 4:
        return advice(check, "NFS 4.0 works; 4.1 and newer tell a node sooner that its locks were lost", do)
    return advice(
        check,
        f"NFS {_version_text(version)} has no leases: the locks of a node that lost its power stay until it "
        "is back, so the others wait for lock_lease and then copy the database",
        do,
    )


def _version_text(version: tuple[int, int]) -> str:
    """3, 4.0, 4.2."""
    return str(version[0]) if version[0] < 4 else f"{version[0]}.{version[1]}"
