"""The command line of ``bin/torture``."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.oracle.mutants.sitecustomize import MUTANTS
from tests.torture.plan import Plan
from tests.torture.torture import Torture


def main(arguments: Sequence[str]) -> int:
    """Torture once and print the report; 1 where something was violated."""
    parser = argparse.ArgumentParser(
        prog="bin/torture",
        description="Torture a queue on this machine: feeders of several nodes, submitters and others, with "
        "kill -9 and stops at random. Prints a YAML report; when a promise was broken it exits with 1 and "
        "keeps everything.",
    )
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="of faults; it then takes a while to settle"
    )
    parser.add_argument("--seed", default=None, help="for the same choices again; random unless given")
    parser.add_argument("--feeders", type=int, default=3, help="how many nodes")
    parser.add_argument("--slots", type=int, default=4, help="jobs at once on each node")
    parser.add_argument("--submitters", type=int, default=2)
    parser.add_argument("--lock-lease", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--node-lease", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument(
        "--settle", type=float, default=300.0, metavar="SECONDS", help="until all jobs must have ended"
    )
    parser.add_argument("--folder", type=Path, help="where the queue is made; a temporary one unless given")
    parser.add_argument("--keep", action="store_true", help="keep the folder also when nothing was found")
    parser.add_argument(
        "--mutant", default="", choices=["", *MUTANTS], help="with this protection taken away"
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="rqpy-torture-", dir=options.folder))
    plan = Plan(
        seconds=60 * options.minutes,
        seed=options.seed or str(random.SystemRandom().randrange(10**6)),
        folder=folder,
        feeders=options.feeders,
        slots=options.slots,
        submitters=options.submitters,
        lock_lease=options.lock_lease,
        node_lease=options.node_lease,
        settle=options.settle,
        mutant=options.mutant,
    )
    print(f"torture: seed {plan.seed}, in {folder}", file=sys.stderr)
    report = Torture(plan).run()
    if report["violations"] or options.keep:
        report["folder"] = str(folder)
    else:
        shutil.rmtree(folder)
    print("---")
    print(yaml.safe_dump(report, sort_keys=False, width=200), end="")
    return 1 if report["violations"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
