"""The command line of bin/simulate: measures costs, validates, simulates one scenario or writes the page."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import machine
from bench.__main__ import BUSY, say
from bench.case import CannotRun
from bench.lab import Lab, node_name
from bench.leftovers import end_users_of
from bench.simulation import measuring, page, validation
from bench.simulation.costs import Costs
from bench.simulation.page import Priced
from bench.simulation.world import Scenario, World

REPOSITORY = Path(__file__).resolve().parents[2]
COSTS = Path(__file__).parent / "costs"
PAGE = REPOSITORY / "docs" / "explanation" / "capacity.md"


def main() -> int:
    """Do what the command line asks for; 1 when a validation failed."""
    options = _parser().parse_args()
    if options.validate:
        return _in_lab(options.place, _validate)
    if options.measure:
        return _in_lab(options.place, lambda lab: _measure(lab, options.measure))
    prices = [Priced(path.stem, *Costs.load(path)) for path in options.costs or sorted(COSTS.glob("*.yml"))]
    if not prices:
        raise CannotRun(f"{COSTS}: no costs: bin/simulate --measure {COSTS}/local.yml writes some")
    if options.page:
        page.publish(options.page, prices, say, options.table)
        say(f"written: {options.page}")
        return 0
    scenario = Scenario(
        options.nodes, options.slots, options.job_seconds, is_full=options.job_seconds >= 1,
        seconds=options.seconds, seed=options.seed,
    )  # fmt: skip
    for price in prices:
        say(f"\n{price.name}: {scenario}")
        for name, value in vars(World(scenario, price.costs).run()).items():
            say(f"   {name:24} {value:.6g}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bin/simulate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--validate", action="store_true", help="measure small cases and simulate the same")
    parser.add_argument("--measure", type=Path, metavar="FILE", help="measure what things cost, into FILE")
    parser.add_argument("--in", dest="place", metavar="DIR", help="on which disk or mount to measure")
    parser.add_argument(
        "--costs",
        type=Path,
        action="append",
        metavar="FILE",
        help="what things cost; may be repeated",
    )
    parser.add_argument(
        "--page", type=Path, nargs="?", const=PAGE, metavar="FILE", help="write the tables of the documents"
    )
    parser.add_argument("--table", action="append", metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--nodes", type=int, default=64, metavar="N", help="of one scenario [64]")
    parser.add_argument("--slots", type=int, default=4, metavar="N", help="of each node [4]")
    parser.add_argument(
        "--job-seconds", type=float, default=10.0, metavar="S", help="how long jobs take [10]"
    )
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="how long to simulate [60]")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of all chance [1]")
    return parser


def _in_lab(place: str | None, verb: Callable[[Lab], int]) -> int:
    """Do something real in a folder that is gone afterwards, as all processes that were started there."""
    os.environ["RQ_NODE"] = node_name()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    before = machine.load()
    if before > BUSY:
        say(f"!!! load average {before}: others work on this machine, do not quote these figures")
    with tempfile.TemporaryDirectory(prefix="rqpy-simulate-", dir=place) as scratch:
        try:
            return verb(Lab(Path(scratch), []))
        finally:
            for process in end_users_of(f"{scratch}/", f"/{node_name()}-"):
                say(f"!!! left running, now ended: {process}")


def _measure(lab: Lab, path: Path) -> int:
    load = machine.load()
    _measured(lab).save(path, {**machine.facts(lab.scratch), "load": load})
    return 0


def _measured(lab: Lab) -> Costs:
    say("measuring what things cost, in seconds")
    costs = measuring.measure(lab)
    for name, value in costs.rounded().items():
        say(f"   {name:10} {value:.3g}")
    return costs


def _validate(lab: Lab) -> int:
    costs = _measured(lab)
    say("measuring and simulating")
    compared = validation.compare(lab, costs, say)
    for line in validation.lines_of(compared):
        say(line)
    return 0 if all(each.is_within for each in compared) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except CannotRun as error:
        sys.exit(f"bin/simulate: {error}")
