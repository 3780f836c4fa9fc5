"""What the oracle is told besides the evidence, and what it answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tests.oracle.evidence import Place


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise: the name of the rule, the job if it is about one, and what was seen."""

    rule: str
    jid: int | None
    text: str

    def __str__(self) -> str:
        job = "" if self.jid is None else f" job {self.jid}:"
        return f"{self.rule}:{job} {self.text}"


@dataclass(frozen=True, slots=True)
class Freeze:
    """A whole machine stood still; ``until`` is the laboratory time at which it went on."""

    place: Place
    until: float


@dataclass(frozen=True, slots=True)
class Excuse:
    """Probes of ``place`` between these two laboratory times waited for what the test did to them."""

    place: Place
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Expected:
    """What the test itself did, so that it is not held against the queue. Times are seconds.

    ``removed``, ``held`` and ``resubmitted`` are the jids that the test named to delete, to a hold and to
    resubmit, whether or not it worked; rotated jobs are found in ``Evidence.rotations`` instead.
    """

    removed: Collection[int] = ()
    held: Collection[int] = ()
    resubmitted: Collection[int] = ()
    freezes: Sequence[Freeze] = ()
    #: For how long a machine that was frozen may go on with what others have taken over meanwhile.
    after_freeze: float = 1.0
    #: The resolution of /proc/uptime on both sides, and of the timelines.
    clock_error: float = 0.05
    #: Whether somebody sent signals to jobs: then a job may be finished by a signal.
    jobs_are_signalled: bool = False
    #: The longest time that ``rqpy status`` may take; None where nobody probed.
    lock_bound: float | None = None
    excuses: Sequence[Excuse] = ()
