"""What each started process has loaded: the real programs are run, and report their modules."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ForwardRef

import pytest

from rq_py import Job
from tests.conftest import Rqpy

#: Runs ``rqpy`` with the arguments given to it, and then writes what it has loaded to stderr.
RQPY_THEN_MODULES = """
import sys
from rq_py.cli.main import main
try:
    main()
finally:
    print("LOADED", *sorted(sys.modules), file=sys.stderr)
"""


def loaded_by(*arguments: str, environment: Mapping[str, str], program: str = RQPY_THEN_MODULES) -> set[str]:
    """The modules that a program of ours has loaded when it ends, besides those of an empty program."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=dict(environment),
        check=False,
        timeout=60,
    )
    report = [line for line in done.stderr.splitlines() if line.startswith("LOADED ")]
    assert report, done.stderr
    assert done.returncode == 0, done.stderr
    return set(report[-1].split()[1:])


def test_importing_the_package_loads_nothing_of_it(environment: dict[str, str]) -> None:
    program = "import sys, rq_py; print('LOADED', *sys.modules, file=sys.stderr)"
    loaded = loaded_by(environment=environment, program=program)
    assert {name for name in loaded if name.startswith("rq_py")} == {"rq_py"}
    assert not loaded & {"sqlite3", "yaml", "click", "psutil", "filelock"}


def test_version_loads_no_database(environment: dict[str, str]) -> None:
    assert not loaded_by("--version", environment=environment) & {"sqlite3", "yaml", "psutil", "filelock"}


@pytest.mark.parametrize("arguments", [["submit", "true"], ["submit", "-p9", "-t", "x", "--quiet", "true"]])
def test_submit_loads_what_it_needs(
    environment: dict[str, str], queue_path: Path, rqpy: Rqpy, arguments: list[str]
) -> None:
    rqpy("create", queue=queue_path, check=True)
    loaded = loaded_by(str(queue_path), *arguments, environment=environment)
    assert not loaded & {"psutil", "filelock", "yaml", "logging", "asyncio", "multiprocessing"}
    assert not {name for name in loaded if name.startswith("rq_py.feeder")}
    assert {name for name in loaded if re.match(r"rq_py\.cli\.(feed|start|stop|list|status)", name)} == set()


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["submit", "--quiet", "true"], {"rq_py.selection", "rq_py.store.rows", "json"}),
        (["list"], {"rq_py.submission", "rq_py.batches", "rq_py.store.tokens", "json"}),
    ],
)
def test_a_start_loads_nothing_of_other_modes(
    environment: dict[str, str], queue_path: Path, rqpy: Rqpy, arguments: list[str], unneeded: set[str]
) -> None:
    rqpy("create", queue=queue_path, check=True)
    loaded = loaded_by(str(queue_path), *arguments, environment=environment)
    assert not loaded & unneeded
    # Click's own --help and click.Path look for translations, and load locale for it.
    assert not loaded & {"rq_py.defaultqueue", "locale", "dataclasses", "subprocess", "tempfile", "shutil"}


#: Runs ``rqpy`` and then writes how often it has looked for cycles, and whether its end will.
RQPY_THEN_COLLECTIONS = """
import gc, sys
from rq_py.cli.main import main

def collections():
    return sum(generation["collections"] for generation in gc.get_stats())

before = collections()
try:
    main()
finally:
    looked, will_look = collections() - before, gc.get_freeze_count() == 0
    print("LOADED", f"looked={looked}", f"will_look={will_look}", file=sys.stderr)
"""


def test_nothing_looks_for_cycles_among_the_modules(
    environment: dict[str, str], queue_path: Path, rqpy: Rqpy
) -> None:
    """It would take a tenth of a submit: half of it on the way, and half at the end of the interpreter."""
    rqpy("create", queue=queue_path, check=True)
    found = loaded_by(
        str(queue_path), "submit", "true", environment=environment, program=RQPY_THEN_COLLECTIONS
    )
    assert found == {"looked=0", "will_look=False"}


def test_the_fields_of_a_job_are_not_compiled_one_by_one() -> None:
    """NamedTuple makes a ForwardRef of an annotation that is a text, and compiles it."""
    assert not [name for name, kind in Job.__annotations__.items() if isinstance(kind, ForwardRef)]


#: What ``-X importtime`` writes to stderr for each import, when it happens.
IMPORT = re.compile(r"^import time:.*\|\s+(\S+)$", re.MULTILINE)


def imports_of(*arguments: str, environment: Mapping[str, str]) -> str:
    """The stderr of a Python program that reports its imports; it must end well by itself."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=dict(environment),
        cwd="/",
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_running_runner_has_the_standard_library_only(environment: dict[str, str], tmp_path: Path) -> None:
    """Without a feeder and without a job it ends by itself; late imports are seen as well."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    report = imports_of("-m", "rq_py.runner", "--state", str(state), environment=environment)
    report += "".join(path.read_text(errors="replace") for path in state.glob("runner.log"))
    of_any_program = set(IMPORT.findall(imports_of("-c", "pass", environment=environment)))
    loaded = set(IMPORT.findall(report)) - of_any_program
    ours = {name for name in loaded if name.split(".")[0] == "rq_py"}
    assert any(name.startswith("rq_py.runner.") for name in ours)
    assert [name for name in ours if not re.match(r"rq_py(\.errors|\.runner(\..+)?)?$", name)] == []
    packages = {name.split(".")[0] for name in loaded - ours}
    assert packages - set(sys.stdlib_module_names) == set()
    assert not packages & {"sqlite3", "asyncio", "logging", "subprocess", "multiprocessing"}
