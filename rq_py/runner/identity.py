"""Who a process is: pid plus start time plus boot, in a form that can be stored and compared for ever.

psutil has such an identity too, but its public ``create_time()`` is a wall-clock time, which moves when
somebody steps the clock, and importing it costs 20 ms. The kernel's own figure, clock ticks since
boot, never moves. A pid can be handed out again within one tick (10 ms) only after the kernel has gone
through all other pids, so (pid, start ticks) names one process of one boot.
"""

from __future__ import annotations

import os
import time
from functools import cache

# Where ``stat_fields`` has what proc_pid_stat(5) numbers 3, 4, 6 and 22.
STATE = 0
PARENT = 1
SESSION = 3
START = 19

#: States of a process that runs no more: zombie, and dead in the old and the new spelling.
GONE_STATES = frozenset({"Z", "X", "x"})


@cache
def boot_id() -> str:
    """Return the kernel's random id of this boot (random(4)): a UUID of 36 characters.

    Raises:
        OSError: /proc is not mounted.

    """
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def stat_fields(pid: int) -> list[str] | None:
    """Return the fields of ``/proc/<pid>/stat`` from the state on, or None if there is no such process.

    The command name before them may hold anything, spaces, newlines and brackets too, so the line is
    cut after its last ``)`` (proc_pid_stat(5)).

    Raises:
        OSError: /proc is not mounted, or no descriptor is left to read it with.

    """
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        text = os.read(fd, 4096)
    except ProcessLookupError:  # it ended between open and read
        return None
    finally:
        os.close(fd)
    return text[text.rindex(b")") + 2 :].decode("ascii").split()


def start_ticks(pid: int) -> int | None:
    """Return when process ``pid`` started, in clock ticks since boot; None if there is no such process.

    A zombie still has its start time. Raises OSError as ``stat_fields`` does.
    """
    fields = stat_fields(pid)
    return None if fields is None else int(fields[START])


def is_alive(pid: int, start: int) -> bool:
    """Tell whether the very process that started at ``start`` ticks still runs; a zombie does not.

    Raises OSError as ``stat_fields`` does.
    """
    fields = stat_fields(pid)
    return fields is not None and int(fields[START]) == start and fields[STATE] not in GONE_STATES


def boottime() -> float:
    """Return seconds since boot, those that the machine slept included: CLOCK_BOOTTIME, clock_gettime(2)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
