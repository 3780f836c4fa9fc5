"""Time and memory of whole processes: one submit, a short list; beside the floor of Python and the peers."""

from __future__ import annotations

import compileall
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import rq_py
from bench.case import FAILURES, Case, Contestant, Metric, Promise, absent
from bench.lab import RQPY, Lab
from bench.metering import Meter
from bench.peers.ours import queue_in
from bench.peers.peer import Client
from rq_py import JobSpec

METRICS = (Metric("ms", "ms"), Metric("cpu_ms", "CPU ms"), Metric("peak_mb", "peak MB"))
FLOOR = "python-floor"
QUIET = "rqpy-quiet"


def figures(
    meter: Meter, argv: Sequence[str], environment: Mapping[str, str] | None = None, source: str = "/dev/null"
) -> dict[str, float]:
    """Run a program once: milliseconds, those of CPU (user and system), and its peak RSS in megabytes."""
    ended = meter.run(argv, environment, source)
    return {"ms": ended.seconds * 1e3, "cpu_ms": ended.cpu * 1e3, "peak_mb": ended.peak / 1e6}


def floors(meter: Meter) -> list[Contestant]:
    """What Python needs to start, bare and with the packages that this project cannot do without."""

    def started(program: str) -> Callable[[], Mapping[str, float]]:
        return lambda: figures(meter, [sys.executable, "-c", program])

    return [Contestant(FLOOR, started("import click, sqlite3")), Contestant("python-bare", started("pass"))]


def _compile() -> None:
    """Compile what has been edited: where PYTHONDONTWRITEBYTECODE is set, every start would do it."""
    compileall.compile_dir(Path(rq_py.__file__).parent, quiet=2)


def _submitting(lab: Lab, stack: ExitStack) -> list[Contestant]:
    _compile()
    meter = lab.meter(stack)
    queue = stack.enter_context(queue_in(stack.enter_context(lab.folder())))
    argv = [*RQPY, str(queue.path), "submit", "--quiet", "true"]
    contestants = [*floors(meter), Contestant(QUIET, lambda: figures(meter, argv))]
    for peer in lab.peers:
        if not peer.can_submit:
            continue
        folder = stack.enter_context(lab.folder())
        try:
            client = stack.enter_context(peer.accepting(folder, workers=False))
        except FAILURES as error:
            contestants.append(absent(peer.name, error))
        else:
            contestants.append(Contestant(peer.name, _submit(meter, client)))
    return contestants


def _submit(meter: Meter, client: Client) -> Callable[[], Mapping[str, float]]:
    return lambda: figures(meter, client.argv("true"), client.environment)


def _listing(lab: Lab, stack: ExitStack) -> list[Contestant]:
    _compile()
    meter = lab.meter(stack)
    queue = stack.enter_context(queue_in(stack.enter_context(lab.folder())))
    queue.submit_many(JobSpec("true", cwd="/") for _ in range(10))
    argv = [*RQPY, str(queue.path), "list"]
    return [*floors(meter), Contestant("rqpy", lambda: figures(meter, argv))]


CASES = (
    Case(
        name="submit",
        title="Submit one job: a whole process, from its start to its end",
        metrics=METRICS,
        contestants=_submitting,
        promises=(
            Promise("at most 1.4 x Python with click and sqlite3", QUIET, "ms", (FLOOR,), most=1.4),
            Promise("peak memory below 30 MB", QUIET, "peak_mb", most=30),
        ),
        neighbour=FLOOR,
        rounds=40,
        short_rounds=15,
        notes=(
            "The first 10 MB or so of every peak are the harness itself: smaller programs look as large.",
            "rqpy-quiet does not print the job; the promises are about it.",
            "For libraries it is a small program of ours that puts one job into the queue.",
        ),
    ),
    Case(
        name="list",
        title="`rqpy list` of 10 jobs: a whole process",
        metrics=METRICS,
        contestants=_listing,
        promises=(
            Promise("at most 1.4 x Python with click and sqlite3", "rqpy", "ms", (FLOOR,), most=1.4),
            Promise("peak memory below 30 MB", "rqpy", "peak_mb", most=30),
        ),
        neighbour=FLOOR,
        rounds=40,
        short_rounds=15,
    ),
)
