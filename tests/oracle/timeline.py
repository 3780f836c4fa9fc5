"""Turns the time that one machine counted since its boot into the time of the laboratory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.oracle.evidence import Place


@dataclass(frozen=True, slots=True)
class Timeline:
    """Points (seconds since boot, laboratory time), ascending in both; between two of them time is even.

    A machine that was paused has two points with (nearly) the same first number. Before the first point and
    behind the last one a second is a second.
    """

    points: Sequence[tuple[float, float]]

    def time(self, at: float) -> float:
        """The laboratory time of the moment ``at``; where a pause is, its end."""
        index = bisect_right(self.points, at, key=lambda point: point[0])
        if index == 0:
            first, there = self.points[0]
            return there + at - first
        begin, begun = self.points[index - 1]
        if index == len(self.points):
            return begun + at - begin
        end, ended = self.points[index]
        return begun + (at - begin) * (ended - begun) / (end - begin)


class Clocks:
    """The timelines of all machines; one that has none counts in laboratory time (one machine only)."""

    def __init__(self, timelines: Mapping[Place, Timeline] | None = None) -> None:
        self._timelines = dict(timelines or {})

    def time(self, place: Place, at: float) -> float:
        """The laboratory time of the moment ``at`` of ``place``. Raises KeyError for an unknown machine."""
        if not self._timelines:
            return at
        return self._timelines[place].time(at)
