"""What a process has: descriptors, children, threads, memory, as /proc tells; two looks can be compared."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from functools import reduce
from operator import and_
from pathlib import Path
from typing import NamedTuple

from rq_py.runner.identity import GONE_STATES, PARENT, STATE, stat_fields


class Census(NamedTuple):
    """One look at a process; descriptors by what they are of, without the numbers of pipes and sockets."""

    descriptors: Counter[str]
    children: int  # zombies among them
    zombies: int
    threads: int


def census_of(pid: int) -> Census:
    """A look at ``pid``, which is alive and this user's."""
    states = [fields[STATE] for child in _pids() if (fields := stat_fields(child)) and _is_of(fields, pid)]
    return Census(
        descriptors=Counter(_descriptors(pid)),
        children=len(states),
        zombies=sum(state in GONE_STATES for state in states),
        threads=len(os.listdir(f"/proc/{pid}/task")),
    )


def steady(looks: Iterable[Census]) -> Census:
    """What a process had in each of several looks."""
    each = list(looks)
    return Census(
        descriptors=reduce(and_, (look.descriptors for look in each)),
        children=min(look.children for look in each),
        zombies=min(look.zombies for look in each),
        threads=min(look.threads for look in each),
    )


def memory_of(pid: int) -> int:
    """The resident memory of ``pid`` in bytes."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _is_of(fields: list[str], parent: int) -> bool:
    return int(fields[PARENT]) == parent


def _descriptors(pid: int) -> list[str]:
    found = []
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            found.append(re.sub(r":\[\d+\]$", "", os.readlink(entry.path)))
        except FileNotFoundError:  # it was closed just now
            continue
    return found
