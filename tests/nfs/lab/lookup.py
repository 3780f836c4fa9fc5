"""What became of certain jobs: as the queue says, asked like any user, and as the jobs have written down."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tests.nfs.lab.cluster import EVIDENCE, QUEUE
from tests.nfs.lab.node import Node
from tests.nfs.lab.trial import Trial

_FIELDS = "jid,state,reason,attempt,runner,restartable"


@dataclass(frozen=True)
class Listed:
    """A line of ``rqpy list``."""

    jid: int
    state: str
    attempt: int
    restartable: bool
    reason: str | None = None
    runner: str | None = None


def listed(node: Node, timeout: float = 300) -> dict[int, Listed]:
    """Every job of the queue, by jid. Raises CommandFailed, and ChannelError after ``timeout`` seconds."""
    lines = node.rqpy(
        QUEUE, "list", "--output", "jsonl", "--fields", _FIELDS, timeout=timeout
    ).out.splitlines()
    return {job.jid: job for job in (Listed(**json.loads(line)) for line in lines)}


def submitted(trial: Trial, node: Node, commands: Sequence[str], *options: str) -> list[int]:
    """Submit these jobs all at once, logged for the oracle; their jids. It must be acknowledged."""
    outcome = trial.submit(node, commands, *options, timeout=300)
    assert outcome == "acknowledged", outcome
    # The log of this very submit is the newest; its last line is the answer.
    last = node.sh(f'cd {EVIDENCE}; tail -n 1 "$(ls -t submits.* | head -n 1)"').out
    return [int(jid) for jid in json.loads(last)["jids"]]


def begun(node: Node) -> set[tuple[int, int]]:
    """The (jid, attempt) that have begun on this node, by the jobs' own account."""
    # -a: a power loss leaves zeros in the file, behind which a plain grep sees nothing.
    out = node.sh(f"cat {EVIDENCE}/jobs.* 2>/dev/null | grep -a '^start ' || :").out
    return {(int(line.split()[1]), int(line.split()[2])) for line in out.splitlines()}


def wait_until_begun(
    trial: Trial, node: Node, jids: Collection[int], attempt: int = 1, deadline: float = 400
) -> None:
    """Wait until this attempt of each of ``jids`` has begun on this node."""
    wanted = {(jid, attempt) for jid in jids}
    trial.lab.wait_until(lambda: wanted <= begun(node), deadline)
