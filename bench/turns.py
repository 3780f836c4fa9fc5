"""Runs a case: all contestants take turns (A B A B), so that a machine's drift meets them all alike."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from bench.case import FAILURES, Case, Contestant
from bench.outcome import Outcome
from bench.statistic import Statistic


def take_turns(
    case: Case, contestants: Sequence[Contestant], rounds: int, tell: Callable[[str], None]
) -> Outcome:
    """Let each contestant measure once a round, and gather what came out.

    One that cannot go on is left out from then on, with what it had measured: half a result is none. The
    reason is told at once, and stands in the outcome.
    """
    outcome = Outcome(case, rounds)
    values: dict[str, dict[str, list[float]]] = {contestant.name: {} for contestant in contestants}
    for number in range(rounds):
        for contestant in contestants:
            name = contestant.name
            if name in outcome.missing:
                continue
            try:
                for metric, value in contestant.measure().items():
                    values[name].setdefault(metric, []).append(value)
            except FAILURES as error:
                outcome.missing[name] = reason_of(error)
                tell(f"{case.name}: {name}: MISSING, round {number + 1}: {outcome.missing[name]}")
    for name, metrics in values.items():
        if name not in outcome.missing:
            outcome.figures[name] = {metric: Statistic.of(them) for metric, them in metrics.items()}
    return outcome


def reason_of(error: BaseException) -> str:
    """Why something could not be done, as one line: the last of what a failed program said, too."""
    text = f"{error}"
    if isinstance(error, subprocess.CalledProcessError | subprocess.TimeoutExpired):
        said = error.stderr or error.output or b""
        said = said if isinstance(said, str) else said.decode(errors="replace")
        text = f"{text} {' '.join(said.split()[-40:])}"
    return " ".join(text.split()) or type(error).__name__
