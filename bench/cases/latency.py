"""From a submit to the start of the job, where the workers have nothing else to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from bench.case import FAILURES, Case, Contestant, Metric, Promise, absent
from bench.lab import Lab, node_name
from bench.metering import Meter
from bench.peers.ours import RqPy
from bench.peers.peer import Client, Fifo


def _measure(meter: Meter, client: Client, fifo: Fifo) -> Callable[[], Mapping[str, float]]:
    def measure() -> Mapping[str, float]:
        started: list[float] = []
        fifo.again()
        waiter = threading.Thread(target=lambda: started.append(fifo.wait()))
        waiter.start()
        begin = time.monotonic()
        ended = meter.run(client.argv(fifo.command), client.environment)
        waiter.join()
        return {"after_return_ms": (started[0] - ended.end) * 1e3, "in_all_ms": (started[0] - begin) * 1e3}

    return measure


def _contestants(lab: Lab, stack: ExitStack) -> list[Contestant]:
    meter = lab.meter(stack)
    contestants = []
    for peer in lab.peers:
        if not (peer.can_submit and peer.has_worker):
            continue
        folder = stack.enter_context(lab.folder())
        try:
            client = stack.enter_context(peer.accepting(folder, workers=True))
        except FAILURES as error:
            contestants.append(absent(peer.name, error))
            continue
        contestants.append(_contestant(stack, meter, peer.name, client, folder / "job"))
        if isinstance(peer, RqPy):
            # Another node cannot wake the feeder through its socket: its poll finds the job.
            elsewhere = Client(client.prefix, {**client.environment, "RQ_NODE": node_name(1)})
            contestants.append(_contestant(stack, meter, "rqpy-other-node", elsewhere, folder / "job2"))
    return contestants


def _contestant(stack: ExitStack, meter: Meter, name: str, client: Client, fifo: Path) -> Contestant:
    return Contestant(name, _measure(meter, client, stack.enter_context(Fifo(fifo))))


CASES = (
    Case(
        name="latency",
        title="From a submit to the job's start, on an idle queue",
        metrics=(
            Metric("after_return_ms", "ms after the submit returned"),
            Metric("in_all_ms", "ms since the submit began"),
        ),
        contestants=_contestants,
        promises=(
            Promise("same host: below 15 ms after it returned", "rqpy", "after_return_ms", most=15),
            Promise(
                "another host: at most 1 s, its idle poll", "rqpy-other-node", "after_return_ms", most=1000
            ),
        ),
        rounds=20,
        short_rounds=7,
        notes=(
            "Negative where the job ran before the submitting process had ended.",
            "The other node is this machine under another name: it does not wake the feeder.",
        ),
    ),
)
