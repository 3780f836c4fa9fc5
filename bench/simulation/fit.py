"""A straight line through measurements: what is fixed, and what each adds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence


def line(measured: Mapping[int, Sequence[float]]) -> tuple[float, float]:
    """``measured`` has, for each batch size, many times: fixed and per piece, both at least 0.

    The medians count, each weighted by its own size: an error of a tenth matters alike in a small batch
    and in a large one.
    """
    points = [(size, statistics.median(times)) for size, times in measured.items()]
    weights = [1 / time**2 for _, time in points]
    total = sum(weights)
    mean_size = sum(weight * size for weight, (size, _) in zip(weights, points, strict=True)) / total
    mean_time = sum(weight * time for weight, (_, time) in zip(weights, points, strict=True)) / total
    above = sum(
        weight * (size - mean_size) * (time - mean_time)
        for weight, (size, time) in zip(weights, points, strict=True)
    )
    below = sum(weight * (size - mean_size) ** 2 for weight, (size, _) in zip(weights, points, strict=True))
    each = max(above / below, 0.0) if below else 0.0
    return max(mean_time - each * mean_size, 0.0), each
