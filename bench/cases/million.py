"""All modes that read or change many jobs, at 1,000,000 jobs: bench/million.py, run once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import yaml

from bench import million
from bench.case import Case, Contestant, Metric
from bench.lab import Lab


def _contestants(lab: Lab, stack: ExitStack) -> list[Contestant]:
    del stack
    with lab.folder() as folder:
        command = [sys.executable, million.__file__, str(lab.size(1_000_000)), "--in", str(folder)]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    seen: dict[str, int] = {}
    contestants = []
    for figures in yaml.safe_load(output):
        mode = str(figures.pop("mode"))
        seen[mode] = seen.get(mode, 0) + 1
        name = mode if seen[mode] == 1 else f"{mode} (again)"
        contestants.append(Contestant(name, _given(figures)))
    return contestants


def _given(figures: Mapping[str, object]) -> Callable[[], Mapping[str, float]]:
    numbers = {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}
    return lambda: numbers


CASES = (
    Case(
        name="million",
        title="Modes at 1,000,000 jobs: whole processes, while another one uses the queue",
        metrics=(
            Metric("seconds", "seconds", 2),
            Metric("peak_rss_mb", "peak MB", 0),
            Metric("lock_held_seconds", "longest wait of others, s", 2),
            Metric("neighbour_seconds", "neighbour, s", 2),
            Metric("times", "ratio"),
        ),
        contestants=_contestants,
        rounds=1,
        short_rounds=0,
        notes=(
            "The neighbour is the least that SQLite or the file system need for it: see bench/million.py.",
        ),
    ),
)
