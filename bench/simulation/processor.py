"""The cores of a machine, which all that runs on it shares."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

#: What a simulated process yields, and gets back: SimPy's events carry values of any type.
Steps = Generator[simpy.Event, Any, None]


class Processor:
    """``cores`` that serve in order: work is short here (milliseconds), so nobody is interrupted."""

    def __init__(self, env: simpy.Environment, cores: int) -> None:
        self._env = env
        self._cores = simpy.Resource(env, cores)

    def work(self, seconds: float) -> Steps:
        """Have a core for so long, and wait for it where all are taken."""
        if not seconds:
            return
        request = self._cores.request()
        if not request.triggered:
            yield request
        yield self._env.timeout(seconds)
        self._cores.release(request)
