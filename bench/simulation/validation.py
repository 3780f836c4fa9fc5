"""Whether the simulation can be believed: small cases, measured here and simulated with the costs of here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bench.lab import Lab
from bench.simulation import transactioncosts
from bench.simulation.costs import Costs
from bench.simulation.reality import WARM_UP, Crowd, Seen, watch
from bench.simulation.world import Figures, Scenario, World
from bench.table import markdown

#: From the processor at its limit to slots that mostly sleep.
CROWDS = (
    Crowd(1, 1, 0.1),
    Crowd(1, 4, 0.1),
    Crowd(2, 2, 0.1),
    Crowd(4, 2, 0.1),
    Crowd(8, 1, 0.1),
    Crowd(2, 4, 0.5),
    Crowd(4, 4, 0.5),
    Crowd(8, 4, 0.5),
    Crowd(1, 2, 0.0),
    Crowd(2, 2, 0.0),
    Crowd(4, 2, 0.0),
    Crowd(8, 1, 0.0),
)
SECONDS = 8.0
#: How far the simulated throughput may be from the measured one.
TOLERANCE = 0.2


@dataclass(frozen=True)
class Compared:
    """A crowd, what was seen of it, and what was simulated.

    ``with_seen`` is simulated with the time for which the lock was seen to be held in this very case: where
    it fits and ``simulated`` does not, the model is right and the costs, measured apart, are not.
    """

    crowd: Crowd
    seen: Seen
    simulated: Figures
    with_seen: Figures

    @property
    def ratio(self) -> float:
        """Simulated jobs a second to measured ones."""
        return self.simulated.jobs_per_second / self.seen.jobs_per_second

    @property
    def is_within(self) -> bool:
        """Whether it may be called the same."""
        return abs(self.ratio - 1) <= TOLERANCE


def compare(lab: Lab, costs: Costs, say: Callable[[str], None]) -> list[Compared]:
    """Measure and simulate each crowd; some 20 s each."""
    compared = []
    with lab.folder() as folder:
        probe = transactioncosts.Probe(folder)
        for crowd in CROWDS:
            say(f"   {crowd.title}")
            before = probe.fixed(costs)
            with lab.folder() as place:
                seen = watch(place, crowd, SECONDS)
            fixed = (before + probe.fixed(costs)) / 2
            simulated = _simulate(crowd, replace(costs, fixed=fixed))
            with_seen = _simulate(crowd, replace(costs, fixed=_fixed_seen(seen, costs)))
            compared.append(Compared(crowd, seen, simulated, with_seen))
    return compared


def scenario_of(crowd: Crowd, cores: int) -> Scenario:
    """The same for the simulation: the feeders share one machine."""
    return Scenario(
        nodes=crowd.feeders,
        slots=crowd.slots,
        job_seconds=crowd.seconds,
        shared_cores=cores,
        warm_up=WARM_UP + 5,
        seconds=30,
    )


def _simulate(crowd: Crowd, costs: Costs) -> Figures:
    return World(scenario_of(crowd, len(os.sched_getaffinity(0))), costs).run()


def _fixed_seen(seen: Seen, costs: Costs) -> float:
    """What is fixed of the time for which a transaction was seen to hold the lock."""
    held = seen.lock_used * seen.seconds - seen.jobs * (costs.claim + costs.finish)
    return max(held / seen.transactions, costs.empty)


def lines_of(compared: list[Compared]) -> Iterator[str]:
    """A table, and the verdict."""
    head = (
        "",
        "jobs/s measured",
        "simulated",
        "ratio",
        "",
        "ratio with the lock time as seen",
        "transactions/s measured",
        "simulated ",
        "lock used measured",
        "simulated  ",
        "least feeder to the mean, measured",
        "simulated   ",
    )
    yield from markdown(head, [_row(each) for each in compared])
    within = sum(each.is_within for each in compared)
    yield f"\n{within} of {len(compared)} within {TOLERANCE:.0%}."


def _row(each: Compared) -> tuple[str, ...]:
    seen, simulated = each.seen, each.simulated
    return (
        each.crowd.title,
        f"{seen.jobs_per_second:.1f}",
        f"{simulated.jobs_per_second:.1f}",
        f"{each.ratio:.2f}",
        "OK" if each.is_within else "**NOT WITHIN**",
        f"{each.with_seen.jobs_per_second / seen.jobs_per_second:.2f}",
        f"{seen.transactions_per_second:.1f}",
        f"{simulated.transactions_per_second:.1f}",
        f"{seen.lock_used:.0%}",
        f"{simulated.lock_used:.0%}",
        f"{seen.least_to_mean:.2f}",
        f"{simulated.least_to_mean:.2f}",
    )
