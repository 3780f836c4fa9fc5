"""What is said of mounts: given lines of mountinfo, because the tests mount no NFS."""

from __future__ import annotations

import pytest

from rq_py.doctor import mounted
from rq_py.doctor.finding import Verdict, worst
from rq_py.locking.mounts import Mount, parse_mountinfo


def mount(right: str, options: str = "rw,relatime") -> Mount:
    """A mount at /shared from the part of its line behind the dash."""
    (found,) = parse_mountinfo(f"40 27 0:35 / /shared {options} - {right}")
    return found


def verdicts(of: Mount, *, recovers: bool = False) -> dict[str, str]:
    """The verdict of each check."""
    return {found.check: found.verdict for found in mounted.findings(of, recovers_lost_locks=recovers)}


GOOD = "nfs4 srv:/export rw,vers=4.2,hard,proto=tcp,local_lock=none"


def test_a_good_one() -> None:
    assert set(verdicts(mount(GOOD)).values()) == {"ok"}
    facts = mounted.facts(mount(GOOD))
    assert (facts["source"], facts["type"], facts["nfs"]) == ("srv:/export", "nfs4", "4.2")


@pytest.mark.parametrize(
    "option", ["nolock", "local_lock=all", "local_lock=posix", "soft", "softerr", "nocto"]
)
def test_options_that_lie(option: str) -> None:
    findings = list(mounted.findings(mount(f"{GOOD},{option}"), recovers_lost_locks=False))
    assert worst(findings) is Verdict.UNSAFE
    (wrong,) = [found for found in findings if found.verdict is Verdict.UNSAFE]
    assert f"mounted with {option}" in wrong.what
    assert option in wrong.do


def test_all_options_that_lie_are_named() -> None:
    findings = mounted.findings(mount(f"{GOOD},nolock,soft,nocto"), recovers_lost_locks=False)
    assert [found.check for found in findings if found.verdict is Verdict.UNSAFE] == ["mount_options"] * 3


def test_a_kernel_that_takes_lost_locks_back() -> None:
    assert verdicts(mount(GOOD), recovers=True)["recover_lost_locks"] == "unsafe"
    assert "recover_lost_locks" not in verdicts(mount("ext4 /dev/sda rw"), recovers=True)


@pytest.mark.parametrize(
    ("right", "verdict", "version"),
    [
        ("nfs srv:/x rw,vers=3,hard", "advice", "3"),
        ("nfs4 srv:/x rw,vers=4.0,hard", "advice", "4.0"),
        ("nfs4 srv:/x rw,vers=4.1,hard", "ok", "4.1"),
        ("nfs srv:/x rw,vers=4.2,hard", "ok", "4.2"),
        ("nfs4 srv:/x rw,hard", "advice", None),
    ],
)
def test_versions_of_nfs(right: str, verdict: str, version: str | None) -> None:
    assert verdicts(mount(right))["nfs_version"] == verdict
    assert mounted.facts(mount(right)).get("nfs") == version


@pytest.mark.parametrize(
    ("right", "verdict"),
    [
        ("ext4 /dev/sda rw", "ok"),
        ("xfs /dev/sda rw", "ok"),
        ("tmpfs tmpfs rw", "advice"),
        ("cifs //srv/x rw,vers=3.1.1", "advice"),
        ("fuse.sshfs me@there: rw", "advice"),
    ],
)
def test_kinds_of_file_systems(right: str, verdict: str) -> None:
    assert verdicts(mount(right))["filesystem"] == verdict


def test_read_only_and_noexec() -> None:
    assert verdicts(mount(GOOD, "ro,noexec")).items() >= {"read_only": "advice", "noexec": "advice"}.items()
