"""Measures what a job costs this machine's processor: in the feeder, in the runner, and in its own shell."""

from __future__ import annotations

from bench.lab import Lab
from bench.simulation.reality import Crowd, watch

#: Jobs that bring many to a transaction, and jobs of which each has a transaction of its own.
MANY, SINGLE = Crowd(1, 2, 0.0), Crowd(1, 1, 0.05)
SECONDS = 6.0


def measure(lab: Lab, under_lock: dict[str, float]) -> dict[str, float]:
    """The figures of ``Costs`` that jobs have; ``under_lock`` are those of transactions. Takes some 20 s.

    The feeder's work is that under the lock, which is known, and the rest, which comes once a tick and once
    a job: two unknowns, so two crowds of one feeder are watched.
    """
    seen = []
    for crowd in (MANY, SINGLE):
        with lab.folder() as folder:
            seen.append(watch(folder, crowd, SECONDS))
    many, single = seen
    fixed = under_lock["fixed"] * under_lock["cpu_share"]
    each = under_lock["claim"] + under_lock["finish"]
    rest = [max(one.feeder_cpu - one.transactions * fixed - one.jobs * each, 0.0) for one in seen]
    determinant = many.transactions * single.jobs - single.transactions * many.jobs
    tick = max((rest[0] * single.jobs - rest[1] * many.jobs) / determinant, 0.0)
    job = max((many.transactions * rest[1] - single.transactions * rest[0]) / determinant, 0.0)
    return {
        "tick": tick,
        "job": job,
        "launch": many.runner_cpu / many.jobs,
        "shell": many.shell_cpu / many.jobs,
        "program": max(single.shell_cpu / single.jobs - many.shell_cpu / many.jobs, 0.0),
    }
