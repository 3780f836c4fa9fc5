"""Mount options under which locks or errors lie are refused by create, feed and doctor; a good mount is not.

Which ones there are depends on the version: NFS 4 has no local locks, and ignores what would ask for them.
"""

from __future__ import annotations

import json

from tests.nfs.lab.cluster import QUEUE, Computer, Lab, Plan
from tests.nfs.lab.node import RQPY, Done, Process

VERSIONS = ("3", "4.2")
PLAN = Plan(clients=2)

LYING = {
    "3": ("nolock", "local_lock=all", "local_lock=posix", "soft", "softerr", "nocto"),
    "4.2": ("soft", "softerr", "nocto"),
}
#: Where the export is mounted once more.
LIE = "/lab/lie"
FEED = ("feed", "--until-empty")


def scenario(lab: Lab) -> None:
    """No job runs: every mount that lies is refused before, and the good one is only examined."""
    one, two = lab.clients
    one.rqpy(QUEUE, "create", "shell=sh", "login=never")
    assert lab.plan.nfs in LYING, f"say which options lie with NFS {lab.plan.nfs}"
    for options in LYING[lab.plan.nfs]:
        refused_with(one, lab.plan.nfs, options)
    one.rqpy(QUEUE, *FEED)
    assert doctor(one.rqpy(QUEUE, "doctor", "--output", "json", check=False), 0)
    between_two_nodes(lab, one, two)


def refused_with(node: Computer, version: str, option: str) -> None:
    """Mount the export once more, with this option."""
    node.diary.fault(f"mount with {option}")
    node.sh(
        'mkdir -p "$4"; source=$(findmnt -n -o SOURCE "$3")\n'
        'mount -t nfs -o "vers=$1,nosharecache,$2" "$source" "$4"',
        version, option, QUEUE.rpartition("/")[0], LIE,
    )  # fmt: skip
    mounted = node.sh('findmnt -n -o OPTIONS "$1"', LIE).out
    found = sorted(set(mounted.strip().split(",")))
    for words in (("new", "create"), ("q", *FEED)):
        done = node.rqpy(f"{LIE}/{words[0]}", *words[1:], check=False)
        node.diary.note(f"{words[1]}: exit status {done.status}: {done.err.strip()}")
        assert done.status == 1, f"{words[1]} with {option} ({found}) ended with {done.status}"
        assert said(done, option), done.err
        assert "without " in done.err, f"says not what to do: {done.err}"
    assert node.run("test", "-e", f"{LIE}/new", check=False).status == 1, "something was made all the same"
    findings = doctor(node.rqpy(f"{LIE}/q", "doctor", "--output", "json", check=False), 1)
    unsafe = [found["what"] for found in findings if found["verdict"] == "unsafe"]
    assert any(shown in what for what in unsafe for shown in names(option)), unsafe
    node.sh('umount "$1"', LIE)


def names(option: str) -> list[str]:
    """As what the kernel shows an option."""
    return {"nolock": ["nolock", "local_lock=all"]}.get(option, [option])


def said(done: Done, option: str) -> bool:
    """Whether one line names the mount and the option."""
    lines = done.err.strip().splitlines()
    return len(lines) == 1 and LIE in lines[0] and any(name in lines[0] for name in names(option))


def doctor(done: Done, status: int) -> list[dict[str, str]]:
    """The findings of a doctor that ended with ``status``."""
    assert done.status == status, f"{done.status}: {done.out} {done.err}"
    findings = json.loads(done.out)["findings"]
    assert isinstance(findings, list)
    return findings


def between_two_nodes(lab: Lab, one: Computer, two: Computer) -> None:
    """The same mount in two kernels: the locks of each keep the other out."""

    def start(node: Computer) -> Process:
        words = ("doctor", "--peer", "--wait", "120", "--output", "json")
        return node.start(*RQPY, QUEUE, *words, env={"RQ_NODE": node.name})

    for process in [start(node) for node in (one, two)]:
        findings = {found["check"]: found for found in doctor(process.wait(300), 0)}
        for check in ("peer", "peer_locks", "peer_writes"):
            assert findings[check]["verdict"] == "ok", findings[check]
            lab.diary.note(f"{process.node.name}: {findings[check]['what']}")
