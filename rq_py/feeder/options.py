"""What a feeder is told: the options of ``feed``, ``start`` and ``restart`` as one value that can be kept."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field, fields

from rq_py.errors import UsageError

LOG_AGES = ("daily", "weekly", "monthly")
VERBOSITIES = ("fatal", "error", "warn", "info", "debug")

#: Bytes at which the log of a feeder in the background is rotated, unless the user says otherwise.
DEFAULT_LOG_SIZE = 8 * 1024 * 1024


def available_cpus() -> int:
    """The CPUs that this process may use (sched_getaffinity(2)), which is what a batch of jobs gets."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """The options of one feeder; times are seconds, sizes bytes. Raises UsageError for senseless values.

    ``loops`` ends it after so many ticks (None: never), ``until_empty`` when nothing is left that this
    node could run. ``grace`` is the time between TERM and KILL in a stop. ``log`` is a path, '' for the
    default: stderr in the foreground, ``<local state>/feeder.log`` in the background. ``program`` is the
    rqpy that jobs find in ``RQ``, '' where there is none. ``timeout`` limits one wait for the queue lock.
    """

    queue: str
    max_feed: int = field(default_factory=available_cpus)
    min_sleep: float = 0.1
    max_sleep: float = 1.0
    loops: int | None = None
    until_empty: bool = False
    grace: float = 10.0
    log: str = ""
    log_age: str = ""
    log_size: int = 0
    verbosity: str = "info"
    allow_root: bool = False
    background: bool = False
    program: str = ""
    timeout: float | None = None

    def __post_init__(self) -> None:
        """Check what a user may have mistyped."""
        if self.max_feed < 1:
            raise UsageError(f"--max-feed {self.max_feed}: must be at least 1")
        if self.loops is not None and self.loops < 1:
            raise UsageError(f"--loops {self.loops}: must be at least 1")
        for name in ("min_sleep", "max_sleep", "grace"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"--{name.replace('_', '-')} {value}: must be 0 or more seconds")
        if self.min_sleep <= 0:
            raise UsageError(
                "--min-sleep 0: must be more than 0 seconds, polling without a pause helps nobody"
            )
        if self.max_sleep < self.min_sleep:
            raise UsageError(f"--max-sleep {self.max_sleep:g}: is less than --min-sleep {self.min_sleep:g}")
        if self.log_size < 0:
            raise UsageError(f"--log-size {self.log_size}: must be 0 or more bytes")
        if self.log_age and self.log_age not in LOG_AGES:
            raise UsageError(f"--log-age {self.log_age}: is none of {' '.join(LOG_AGES)}")
        if self.verbosity not in VERBOSITIES:
            raise UsageError(f"--verbosity {self.verbosity}: is none of 0..4 {' '.join(VERBOSITIES)}")

    def to_json(self) -> str:
        """The options as one line of JSON, for ``feeder.json`` and for a new feeder's arguments."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FeedOptions:
        """Read what ``to_json`` wrote, also of another version of rqpy: options it does not know are dropped.

        Raises UsageError where it is not a JSON object with a queue.
        """
        try:
            values = json.loads(text)
            known = {entry.name for entry in fields(cls)}
            return cls(**{name: value for name, value in values.items() if name in known})
        except (ValueError, AttributeError, TypeError) as error:
            raise UsageError(f"stored options of a feeder make no sense: {error}") from error
