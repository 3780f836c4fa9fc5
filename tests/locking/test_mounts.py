"""What a mount can promise: real lines of mountinfo, who fences, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rq_py.errors import UnsafeMount
from rq_py.locking import mounts
from rq_py.locking.mounts import Fence, Mount, check, mount_of, parse_mountinfo

_NFS = "rw,vers={version},rsize=1048576,wsize=1048576,namlen=255,{hard},proto=tcp,timeo=600,retrans=2,sec=sys"
_V4 = _NFS.format(version="4.2", hard="hard") + ",clientaddr=10.0.0.7,local_lock=none,addr=10.0.0.1"
_V3 = (
    _NFS.format(version="3", hard="hard") + ",mountaddr=10.0.0.1,mountvers=3,local_lock={local},addr=10.0.0.1"
)

SAMPLE = f"""\
22 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
40 27 0:35 / /shared rw,relatime shared:90 - nfs4 srv:/export {_V4}
41 27 0:36 / /old rw,relatime shared:91 - nfs srv:/old {_V3.format(local="none")}
42 27 0:37 / /late rw,relatime - nfs srv:/late {_V4.replace("4.2", "4.1")}
43 40 0:38 / /shared/scratch rw,noatime shared:92 master:3 - xfs /dev/sdb rw,attr2
44 27 0:39 / /with\\040space rw,relatime - nfs4 srv:/a\\040b {_V4}
45 27 0:40 / /tab\\011and\\134back rw - tmpfs tmpfs rw
46 27 0:41 / /merged rw,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b
47 27 0:42 / /fuse rw - fuse.sshfs me@there: rw,user_id=0
48 40 0:43 / /shared rw,relatime - nfs4 other:/over {_V4},soft
a line that is no mount
"""


def sample(path: str) -> Mount:
    """The mount that holds ``path`` in the sample."""
    return mount_of(Path(path), parse_mountinfo(SAMPLE))


def test_lines_are_taken_apart() -> None:
    found = parse_mountinfo(SAMPLE)
    assert len(found) == 11
    assert found[2].point == "/shared"
    assert found[2].filesystem == "nfs4"
    assert {"rw", "relatime", "vers=4.2", "hard", "local_lock=none"} <= found[2].options


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/srv/x", "/"),
        ("/", "/"),
        ("/old/q", "/old"),
        ("/older/q", "/"),
        ("/shared/scratch/q", "/shared/scratch"),
        ("/with space/q", "/with space"),
        ("/tab\tand\\back", "/tab\tand\\back"),
    ],
)
def test_the_deepest_mount_counts(path: str, point: str) -> None:
    assert sample(path).point == point


def test_the_later_of_two_mounts_at_one_place_counts() -> None:
    assert "soft" in sample("/shared/q").options


@pytest.mark.parametrize(
    ("path", "fence"),
    [
        ("/x", Fence.KERNEL),
        ("/merged/q", Fence.KERNEL),
        ("/shared/scratch", Fence.KERNEL),
        ("/shared/q", Fence.SERVER),
        ("/late/q", Fence.SERVER),  # type nfs with vers=4.1
        ("/old/q", Fence.NOBODY),
        ("/fuse/q", Fence.NOBODY),
    ],
)
def test_who_fences(path: str, fence: Fence) -> None:
    assert sample(path).fence is fence


def nfs(options: str, filesystem: str = "nfs") -> Mount:
    """A mount of NFS with these options."""
    (mount,) = parse_mountinfo(f"40 27 0:35 / /shared rw,relatime - {filesystem} srv:/export {options}")
    return mount


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (_V3.format(local="all"), "local_lock=all"),
        (_V3.format(local="posix"), "local_lock=posix"),
        (_V3.format(local="none") + ",nolock", "nolock"),
        (_V4.replace("hard", "soft"), "soft"),
        (_V4.replace("hard", "softerr"), "softerr"),
        (_V4 + ",nocto", "nocto"),
    ],
)
def test_what_is_refused_and_named(options: str, named: str) -> None:
    with pytest.raises(UnsafeMount) as caught:
        check(Path("/shared/q"), nfs(options))
    assert f"is mounted with {named}," in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [_V4, _V3.format(local="none"), _V3.format(local="flock")])
def test_what_is_accepted(options: str) -> None:
    check(Path("/shared/q"), nfs(options))


def test_options_that_matter_on_nfs_only() -> None:
    (mount,) = parse_mountinfo("40 27 0:35 / /x rw - ext4 /dev/sda rw,soft,nolock")
    check(Path("/x/q"), mount)


@pytest.mark.parametrize(
    ("content", "expected"), [("Y\n", True), ("1\n", True), ("N\n", False), (None, False)]
)
def test_lost_locks_that_are_taken_back_silently(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, expected: bool
) -> None:
    parameter = tmp_path / "recover_lost_locks"
    if content is not None:
        parameter.write_text(content)
    monkeypatch.setattr(mounts, "_RECOVER_LOST_LOCKS", parameter)
    assert mounts.recovers_lost_locks() is expected
    if expected:
        with pytest.raises(UnsafeMount, match="recover_lost_locks"):
            check(Path("/shared/q"), nfs(_V4, "nfs4"))
    else:
        check(Path("/shared/q"), nfs(_V4, "nfs4"))


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    assert mount_of(Path("/proc/self")).filesystem == "proc"
    assert mount_of(tmp_path).point in {"/", *map(str, tmp_path.parents)}
    assert mount_of(tmp_path / "not" / "there") == mount_of(tmp_path)
