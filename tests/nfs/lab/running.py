"""``bin/nfs-lab``: lists scenarios, runs them and says how it went, or lets a person in on each node."""

from __future__ import annotations

import argparse
import compileall
import contextlib
import fcntl
import importlib
import os
import pkgutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType, ModuleType

import yaml

from tests.nfs import scenarios
from tests.nfs.lab import image, prompt
from tests.nfs.lab.cluster import Lab, Plan, remove_leftovers

REPOSITORY = Path(__file__).resolve().parents[3]

#: One lab at a time: two of them on one machine would only make each other's figures worthless.
_LOCK = Path("/run/rqpy-nfs-lab.lock")


def names() -> list[str]:
    """The scenarios that there are."""
    return sorted(module.name for module in pkgutil.iter_modules(scenarios.__path__))


def load(name: str) -> ModuleType:
    """The module of a scenario. Raises SystemExit for one that there is not."""
    if name not in names():
        raise SystemExit(f"nfs-lab: no scenario {name}; there are: {', '.join(names())}")
    return importlib.import_module(f"{scenarios.__name__}.{name}")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other lab runs on this machine, and keep it so. Raises LabUnavailable."""
    image.require_root()  # who could not even make the lock
    with _LOCK.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            sys.stderr.write(f"nfs-lab: waiting for the lab of process {file.read().strip()} ({_LOCK})\n")
            fcntl.flock(file, fcntl.LOCK_EX)
        remove_leftovers()
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def run(
    name: str, versions: Sequence[str], folder: Path, plan: Plan | None = None, **parameters: object
) -> list[dict[str, object]]:
    """Run a scenario once for each version of NFS; the results, the logs are in ``folder``.

    ``plan`` gives mount options and seed. Raises LabUnavailable.
    """
    module = load(name)
    for package in ("rq_py", "tests/oracle", "tests/nfs/lab"):  # or every guest would do it, each time
        compileall.compile_dir(REPOSITORY / package, quiet=2)
    prepared = image.prepare()
    given = plan or Plan()
    results = []
    for version in versions:
        whole = replace(
            module.PLAN, nfs=version, mount_options=given.mount_options, seed=given.seed, keep=given.keep
        )
        results.append(
            _run_once(module, Lab(prepared, whole, _fresh(folder / f"{name}-{version}")), parameters)
        )
    return results


def _fresh(wanted: Path) -> Path:
    """``wanted``, or with a number, so that nothing is there yet."""
    number, path = 1, wanted
    while path.exists():
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")
    return path


def _run_once(module: ModuleType, lab: Lab, parameters: dict[str, object]) -> dict[str, object]:
    begun = time.monotonic()
    failure = figures = None
    try:
        with lab:
            figures = module.scenario(lab, **parameters)
    except Exception as error:  # noqa: BLE001 - the next scenario is run all the same
        failure = f"{type(error).__name__}: {error}"
        (lab.folder / "traceback").write_text(traceback.format_exc(), encoding="utf-8")
    result: dict[str, object] = {
        "scenario": module.__name__.rpartition(".")[2],
        "nfs": lab.plan.nfs,
        "mount_options": lab.plan.mount_options,
        "seed": lab.plan.seed,
        "seconds": round(time.monotonic() - begun, 1),
        "jobs": sum(verdict.jobs for verdict in lab.verdicts),
        "attempts": sum(verdict.attempts for verdict in lab.verdicts),
        "submits": _added(verdict.submits for verdict in lab.verdicts),
        "states": _added(verdict.states for verdict in lab.verdicts),
        "faults": lab.diary.faults,
        "violations": [str(violation) for verdict in lab.verdicts for violation in verdict.violations],
        "failure": failure,
        "result": "failed" if failure else "passed",
        "folder": str(lab.folder),
    }
    if figures is not None:  # of a scenario that measures
        result["figures"] = figures
    (lab.folder / "result.yml").write_text(yaml.safe_dump(result, sort_keys=False), encoding="utf-8")
    return result


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return dict(sum((Counter(count) for count in counts), Counter()))


def main(arguments: Sequence[str]) -> int:
    """What the command line says; 1 when a scenario failed, 3 where the lab cannot run."""
    options = _parser().parse_args(arguments)
    if options.what == "list":
        for name in names():
            module = load(name)
            print(f"{name:20} {','.join(module.VERSIONS):15} {(module.__doc__ or '').splitlines()[0]}")
        return 0
    if options.what == "run":
        load(options.scenario)  # a wrong name is to be said before anything is waited for
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    folder = options.logs or Path("/var/tmp/rqpy-nfs-lab")
    plan = Plan(nfs=options.nfs or "4.2", mount_options=options.mount_options, seed=options.seed)
    plan = replace(plan, keep=options.keep)
    try:
        with alone():
            if options.what == "shell":
                plan = replace(plan, namespaces=options.namespaces)
                with Lab(image.prepare(), plan, _fresh(folder / "shell")) as lab:
                    return prompt.serve(lab)
            return _run_all(options, folder, plan)
    except image.LabUnavailable as error:
        sys.stderr.write(f"nfs-lab: cannot run here: {error}\n")
        return 3
    except KeyboardInterrupt:
        sys.stderr.write("nfs-lab: interrupted; every machine is off\n")
        return 130


def _run_all(options: argparse.Namespace, folder: Path, plan: Plan) -> int:
    parameters = {key: int(value) for key, _, value in (given.partition("=") for given in options.parameters)}
    failed = 0
    for name in names() if options.what == "all" else [options.scenario]:
        versions = [options.nfs] if options.nfs else load(name).VERSIONS
        for version in versions:
            for result in run(name, [version], folder, plan, **parameters):
                print("---")
                print(yaml.safe_dump(result, sort_keys=False), end="", flush=True)
                failed += result["result"] != "passed"
    return 1 if failed else 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nfs-lab", description="rq_py on real NFS, in virtual machines.")
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("list", help="the scenarios, and for which versions of NFS they are")
    one = what.add_parser("run", help="run one scenario")
    one.add_argument("scenario")
    one.add_argument(
        "--set",
        dest="parameters",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="a parameter of the scenario: jobs=100",
    )
    every = what.add_parser("all", help="run every scenario")
    every.set_defaults(parameters=[])
    shell = what.add_parser("shell", help="a prompt on each node")
    shell.add_argument("--namespaces", type=int, default=0, help="further nodes in each client")
    for command in (one, every, shell):
        command.add_argument(
            "--nfs", choices=["3", "4.0", "4.1", "4.2"], help="default: each that a scenario is for"
        )
        command.add_argument("--mount-options", default="", help="further options of mount: lookupcache=none")
        command.add_argument("--seed", type=int, default=0, help="of what the scenario chooses by chance")
        command.add_argument("--keep", action="store_true", help="keep the disks of the machines")
        command.add_argument("--logs", type=Path, help="the folder for logs and evidence")
    return parser
