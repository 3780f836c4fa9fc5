"""Notices that the whole machine stood still and its clocks with it: the hardware clock went on.

A virtual machine that its host pauses sees no time pass: CLOCK_BOOTTIME counts a suspend of the machine's
own (clock_gettime(2)), but not that. The real-time clock (rtc(4)) is kept by the host. Everybody may read it
in sysfs; a machine without one is not helped, and its feeder finds out from the lease.

Somebody who sets both clocks forward (timedatectl set-time) looks like a paused guest whose clock is put
right as it wakes up: it is taken for a stand-still, which is the safe side.
"""

from __future__ import annotations

import time
from pathlib import Path

#: The hardware clock, in whole seconds since 1970.
HARDWARE_CLOCK = Path("/sys/class/rtc/rtc0/since_epoch")
#: Differences below this many seconds are the whole seconds of the hardware clock, and short migrations.
_NOISE_SECONDS = 2.0
#: How far the two clocks drift apart at most, as a share of the time between two looks.
_DRIFT = 1e-3


class StandStill:
    """Compares the hardware clock with CLOCK_BOOTTIME from look to look; ``path`` is where it is read."""

    def __init__(self, path: Path = HARDWARE_CLOCK) -> None:
        self._path = path
        self._seen: tuple[float, float, float] | None = None  # hardware clock, CLOCK_BOOTTIME, CLOCK_REALTIME

    def look(self, now: float) -> float:
        """Return for how many seconds the machine stood still since the last look.

        ``now`` is the time by CLOCK_BOOTTIME.
        """
        try:
            hardware = float(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):  # there is none, or it is being set
            self._seen = None
            return 0.0
        seen, self._seen = self._seen, (hardware, now, time.time())
        if seen is None:
            return 0.0
        elapsed = now - seen[1]
        lost = hardware - seen[0] - elapsed
        if lost < _NOISE_SECONDS + elapsed * _DRIFT or self._was_set(seen, elapsed):
            return 0.0
        return lost

    def _was_set(self, seen: tuple[float, float, float], elapsed: float) -> bool:
        """Whether the hardware clock was set by the system's: they agree now, and that one did not jump.

        One that is kept in local time is set so when summer time begins, hwclock(8). Not any whole hour will
        do, or a pause of an hour would be missed: it has to be this time zone's.
        """
        hardware, _, wall = self._seen or seen
        time.tzset()  # the zone may be another since this process began
        ahead = hardware - wall
        agree = min(abs(ahead), abs(ahead - time.localtime(wall).tm_gmtoff)) < _NOISE_SECONDS
        return agree and abs(wall - seen[2] - elapsed) < _NOISE_SECONDS
