"""What the page asks of the simulation: which scenarios, and which of the program's constants changed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from unittest.mock import patch

from bench.simulation.costs import Costs
from bench.simulation.policy import TODAY, Policy
from bench.simulation.world import Figures, Scenario, World
from rq_py.feeder import ahead
from rq_py.locking.queuelock import (
    AGEING,
    LONGEST_PAUSE,
    LONGEST_PAUSE_SHARED,
    SHORTEST_PAUSE,
    SHORTEST_PAUSE_SHARED,
)

NODES = (1, 16, 64, 250, 500)
JOB_SECONDS = (0.1, 1.0, 10.0, 60.0, 600.0)
SLOTS = 4
#: So many times each node has had the lock, about, before anything is counted.
TURNS = 6

#: Ways to wait for the lock, beside today's; today's bounds also where it does not have them.
POLICIES = (
    TODAY,
    Policy("50 to 5 ms", LONGEST_PAUSE, AGEING, SHORTEST_PAUSE),
    Policy("100 to 20 ms", LONGEST_PAUSE_SHARED, AGEING, SHORTEST_PAUSE_SHARED),
    Policy("one bound of 20 ms", 0.02),
    Policy("one bound of 50 ms", 0.05),
    Policy("one bound of 100 ms", 0.1),
    Policy("one bound of 200 ms", 0.2),
    Policy("one of 50 ms, and 50 ms of courtesy", 0.05, courtesy=0.05, recently=0.05),
)
#: Seconds of work that a feeder may have ahead at most.
MOST_AHEAD = (2.0, 10.0, 60.0)


@dataclass(frozen=True)
class Study:
    """A scenario with costs; ``ahead`` are constants of claim-ahead that are not as they are today."""

    scenario: Scenario
    costs: Costs
    ahead: Mapping[str, float] = field(default_factory=dict)


def simulate(studies: Iterable[Study]) -> Iterator[Figures]:
    """All of them, on all cores, in order."""
    with multiprocessing.Pool() as pool:
        yield from pool.imap(_figures, studies)


def _figures(study: Study) -> Figures:
    with ExitStack() as stack:
        for name, value in study.ahead.items():
            stack.enter_context(patch.object(ahead, name, value))
        return World(study.scenario, study.costs).run()


def backlog(nodes: int, job_seconds: float, costs: Costs) -> Scenario:
    """Nodes that have never too few jobs, watched for as long as a few hundred of these take.

    It is not the beginning that is asked for: where jobs take a second or more, the slots are at work then,
    and all nodes have some turns at the lock, or two minutes, to learn how much to have ahead.
    """
    is_short = job_seconds < 1
    warm_up = min(max(20.0, TURNS * nodes * costs.fixed), 120.0)
    seconds = max(20.0 if is_short else 60.0, 400 * job_seconds / (nodes * SLOTS))
    return Scenario(nodes, SLOTS, job_seconds, is_full=not is_short, warm_up=warm_up, seconds=seconds)


def waiting_by(policy: Policy, scenario: Scenario) -> Scenario:
    """The same with another way to wait for the lock."""
    return replace(scenario, policy=policy)


def half_load(nodes: int, job_seconds: float) -> Scenario:
    """Nodes of which half are idle on average: a submit each second brings what the others can do."""
    batch = max(round(nodes * SLOTS / job_seconds / 2), 1)
    rate = nodes * SLOTS / job_seconds / 2 / batch
    return Scenario(
        nodes, SLOTS, job_seconds, exponential=True, submits_per_second=rate, jobs_per_submit=batch,
        warm_up=job_seconds + 40, seconds=60.0,
    )  # fmt: skip


def crowd(policy: Policy, nodes: int = 16, loopers: int = 8) -> Scenario:
    """Feeders with jobs that take no time, and processes that submit as fast as they can, on two cores."""
    return Scenario(nodes, 1, 0.0, loopers=loopers, shared_cores=2, policy=policy, warm_up=20.0, seconds=60.0)


def priced(costs: Costs, hold: float) -> Costs:
    """What if a transaction held the lock for ``hold`` seconds: what else is a call grows with it.

    It is of a mount, where all that a transaction does are calls to the server, some thirty of them: an
    empty one is taken for half of it, a try for the lock for one call, an idle poll for two, a lease's
    renewal for three.
    """
    call = hold / 30
    return replace(
        costs, fixed=hold, empty=hold / 2, cpu_share=min(costs.fixed * costs.cpu_share / hold, 1.0),
        attempt=call, poll=2 * call, renewal=3 * call, is_shared=True,
    )  # fmt: skip
