"""The command line of ``bin/crash-points``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import yaml

from tests.crash.faults import ERRORS, KILL, KILL_EVERYWHERE
from tests.crash.feeding import FeedSweep
from tests.crash.operations import OPERATIONS, operation_named
from tests.crash.sweep import Found, Sweep
from tests.crash.tracer import is_possible
from tests.crash.world import World, preload

VICTIMS = {f"feed: {victim}": victim for victim in ("feeder", "runner")}
FAULTS = {"kill": KILL, "kill-everywhere": KILL_EVERYWHERE, **ERRORS}
#: Faults that are not tried persistently.
_ONCE = frozenset({"kill", "kill-everywhere", "short"})
#: Violations of one operation that are printed.
_SHOWN = 40


def sweep(name: str, faults: Sequence[str], every: int, first: int, folder: Path) -> Found:
    """Sweep the operation ``name``, at each ``every``-th point from the ``first`` on."""
    place = Path(tempfile.mkdtemp(dir=folder))
    world = World(place, f"crash-{place.name}")
    try:
        one = FeedSweep(world, VICTIMS[name]) if name in VICTIMS else Sweep(world, operation_named(name))
        for fault in faults:
            for persistent in (False,) if fault in _ONCE else (False, True):
                n = first
                while one.at(FAULTS[fault], n, persistent=persistent):
                    n += every
    finally:
        world.end()
        shutil.rmtree(place)
    return one.found


def main(arguments: Sequence[str]) -> int:
    """Sweep and print the report; 1 where something was violated."""
    parser = argparse.ArgumentParser(
        prog="bin/crash-points",
        description="Kill every operation at every system call, or let the call fail, and judge what is "
        "left. Prints a YAML report; when a promise was broken it exits with 1.",
    )
    names = [*(operation.name for operation in OPERATIONS), *VICTIMS]
    parser.add_argument(
        "--operation", action="append", choices=names, metavar="NAME", help="only this one; may be repeated"
    )
    parser.add_argument("--fault", action="append", choices=[*FAULTS], help="only this one; may be repeated")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="try each N-th point only")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="... from the N-th on")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="so many sweeps at once")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="where the queues are made")
    options = parser.parse_args(arguments)
    if not is_possible():
        print("crash-points: this machine does not let us trace processes, or is no x86_64", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="rqpy-crash-", dir=options.folder))
    begun, broken = time.monotonic(), 0
    totals: Counter[str] = Counter()
    try:
        with ProcessPoolExecutor(options.processes, initializer=preload) as pool:
            wanted = options.operation or names
            faults = options.fault or ["kill", *ERRORS]
            tasks = [
                pool.submit(sweep, name, faults, options.every, options.first, folder) for name in wanted
            ]
            for name, task in zip(wanted, tasks, strict=True):
                try:
                    found = task.result()
                except Exception as error:  # noqa: BLE001
                    found = Found(name, violations=[f"{name}: no sweep: {type(error).__name__}: {error}"])
                totals += found.tried
                broken += len(found.violations)
                _show(found)
    finally:
        shutil.rmtree(folder)
    _print(
        {"total": {"tried": dict(totals), "violations": broken, "seconds": round(time.monotonic() - begun)}}
    )
    return 1 if broken else 0


def _show(found: Found) -> None:
    said: dict[str, object] = {"tried": dict(found.tried), "found": dict(found.outcomes)}
    if found.violations:
        said["violations"] = [f"{len(found.violations)} in all", *found.violations[:_SHOWN]]
    _print({found.operation: said})


def _print(document: object) -> None:
    print(yaml.safe_dump(document, sort_keys=False, width=1000), end="", flush=True)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1:]))
