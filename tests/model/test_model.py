"""The protocols' models hold in every order of steps and faults, and a bug that is put into them is found.

docs/explanation/models.md says what is modelled. Each check is spin, a C compiler and the program that comes
out of them, in a folder of its own. ``RQPY_TESTS=deep`` adds larger bounds: three minutes more, and 2 GB.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).resolve().parent

#: Steps of the longest run that is followed; that it was enough is checked.
LONGEST_RUN = 100_000
#: Seconds for one check; the machine may be busy with other things.
PATIENCE = 600

pytestmark = [
    pytest.mark.timeout(2 * PATIENCE),
    pytest.mark.skipif(
        not (shutil.which("spin") and shutil.which("gcc")),
        reason="NOT TESTED: the models of the protocols, for want of spin or gcc: apt-get install spin gcc",
    ),
]


class Compiled(NamedTuple):
    """How a model is compiled: processes that stand still with their node forbid partial order reduction."""

    model: str
    options: list[str]


GENERATION = Compiled("generation", [])
LAUNCH = Compiled("launch", ["-DNOREDUCE", "-DVECTORSZ=2048"])

#: model, its bounds, and the least number of states, so that a model that stands still is noticed.
PROMISES = [
    pytest.param(GENERATION, "FENCES", 250_000, id="generation-nfs4"),
    pytest.param(GENERATION, "", 250_000, id="generation-nfs3"),
    pytest.param(GENERATION, "FENCES STOPS=1 KILLS=0", 80_000, id="generation-nfs4-stopped"),
    pytest.param(GENERATION, "STOPS=1 KILLS=0", 80_000, id="generation-nfs3-stopped"),
    pytest.param(GENERATION, "FENCES PROCS=3 HASTY=0", 300_000, id="generation-nfs4-three"),
    pytest.param(GENERATION, "PROCS=3 KILLS=0 HASTY=0", 500_000, id="generation-nfs3-three"),
    pytest.param(LAUNCH, "FAULTS=1 LAPSES=2 DOUBTS=0", 1_000_000, id="launch-silent-node"),
    pytest.param(LAUNCH, "FAULTS=1 LAPSES=1 DOUBTS=1", 400_000, id="launch-in-doubt"),
    pytest.param(LAUNCH, "FAULTS=2 LAPSES=0 DOUBTS=0", 100_000, id="launch-two-faults"),
]
PROMISES_DEEP = [
    pytest.param(GENERATION, "FENCES STOPS=1 KILLS=2", 1_500_000, id="generation-nfs4"),
    pytest.param(GENERATION, "STOPS=1 KILLS=2", 1_500_000, id="generation-nfs3"),
    pytest.param(GENERATION, "FENCES PROCS=3 HASTY=0 STOPS=1 KILLS=0", 2_000_000, id="generation-nfs4-three"),
    pytest.param(
        GENERATION, "FENCES PROCS=3 HASTY=0 ROLL_BACK_IN_A_COPY", 5_000_000, id="generation-nfs4-copy"
    ),
    pytest.param(GENERATION, "FENCES LOSSES=2", 1_500_000, id="generation-nfs4-two-lost-locks"),
    pytest.param(GENERATION, "FENCES LOSSES=2 ROLL_BACK_IN_A_COPY", 3_000_000, id="generation-nfs4-hot"),
    pytest.param(LAUNCH, "FAULTS=2 LAPSES=2 DOUBTS=0", 10_000_000, id="launch-silent-node"),
    pytest.param(LAUNCH, "FAULTS=1 LAPSES=2 DOUBTS=1", 3_000_000, id="launch-in-doubt"),
    pytest.param(LAUNCH, "FAULTS=2 LAPSES=0 DOUBTS=1 FAULTS_ON_BOTH", 1_000_000, id="launch-both-nodes"),
    pytest.param(LAUNCH, "FAULTS=3 LAPSES=0 DOUBTS=0", 700_000, id="launch-three-faults"),
]

TORN = r"seen_a==seen_b|copy_a==copy_b"
LOST = r"acknowledged& ~"
TWICE = r"restartable\|\|\(starts==1"
OVERLAP = r"unexcused<=1"

#: A protection that is taken away, and the promise that is broken then.
SEEDED = [
    pytest.param(GENERATION, "FENCES NO_FROZEN_CHECK", LOST, id="nfs4-no-frozen-check"),
    pytest.param(GENERATION, "NO_FROZEN_CHECK", LOST, id="nfs3-no-frozen-check"),
    pytest.param(GENERATION, "FENCES FREEZE_LAST", LOST, id="freeze-after-the-copy"),
    pytest.param(GENERATION, "FENCES NO_COMPARE", TORN, id="no-compare"),
    pytest.param(GENERATION, "FENCES NO_JOURNAL_LOCK", TORN + "|" + LOST, id="no-journal-lock"),
    pytest.param(GENERATION, "NO_RECORD_CHECK", TORN, id="nfs3-no-record-check"),
    pytest.param(GENERATION, "NO_SQLITE_LOCK", TORN, id="no-sqlite-lock"),
    pytest.param(GENERATION, "FENCES LOSSES=0 NO_REVALIDATE", TORN, id="hot-journal-not-seen"),
    pytest.param(GENERATION, "FENCES KILLS=0 NO_SECOND_RECORD", LOST, id="nfs4-cut-between-two-locks"),
    pytest.param(GENERATION, "FENCES LOSSES=2 UNNAMED_ROLL_BACK", TORN, id="nfs4-unnamed-roll-back"),
    pytest.param(LAUNCH, "LAPSES=0 LAUNCH_BEFORE_COMMIT", OVERLAP + "|" + TWICE, id="launch-before-commit"),
    pytest.param(LAUNCH, "LAPSES=0 GO_BEFORE_JOURNAL", OVERLAP + "|" + TWICE, id="go-before-journal"),
    pytest.param(LAUNCH, "LAPSES=0 MISSING_JOURNAL_PROVES", TWICE, id="missing-journal-proves"),
    pytest.param(LAUNCH, "LAPSES=0 FORGET_BEFORE_RECORDED", TWICE, id="forget-before-recorded"),
    pytest.param(LAUNCH, "LAPSES=0 BURY_WITHOUT_ENDING", OVERLAP, id="bury-without-ending"),
    pytest.param(LAUNCH, "ENDED_IS_FINISHED", r"!\(condemned", id="ended-by-the-switch-is-finished"),
    pytest.param(LAUNCH, "NO_GUARD", OVERLAP, id="no-guard"),
    pytest.param(LAUNCH, "NO_DEAD_MANS_SWITCH", OVERLAP, id="no-dead-mans-switch"),
    pytest.param(LAUNCH, "NO_OVERDUE_CHECK NO_AUDIT", OVERLAP, id="no-overdue-check"),
    pytest.param(LAUNCH, "BURY_WITHOUT_A_LAST_LOOK", OVERLAP, id="bury-without-a-last-look"),
    pytest.param(LAUNCH, "RENEWAL_BEFORE_SWITCH", OVERLAP, id="renewal-before-switch"),
    pytest.param(LAUNCH, "FAULTS=2 ORPHANS_AFTER_READ", OVERLAP, id="orphans-after-read"),
    pytest.param(LAUNCH, "ORDERS_OUTLIVE_THE_LEASE", OVERLAP, id="orders-outlive-the-lease"),
]

#: What rq_py does not promise: models.md says of each what that means.
KNOWN = [
    pytest.param(LAUNCH, "BOTH_STAY_AWAY", OVERLAP, id="feeder-and-runner-stay-away"),
    pytest.param(LAUNCH, "CLOCK_STANDS_STILL", OVERLAP, id="clock-stands-still"),
    pytest.param(GENERATION, "LOSSES=2", TORN, id="nfs3-two-lost-locks"),
]


@pytest.mark.parametrize(("compiled", "bounds", "least"), PROMISES)
def test_the_promises_hold_in_every_order_of_steps(
    tmp_path: Path, compiled: Compiled, bounds: str, least: int
) -> None:
    proved(search(tmp_path, compiled, bounds), least)


@pytest.mark.parametrize(
    ("compiled", "bounds", "least"),
    [
        pytest.param(GENERATION, "FENCES", 250_000, id="generation-nfs4"),
        pytest.param(GENERATION, "", 250_000, id="generation-nfs3"),
        pytest.param(LAUNCH, "FAULTS=1 LAPSES=1 DOUBTS=0", 100_000, id="launch"),
    ],
)
def test_every_run_comes_to_its_end(tmp_path: Path, compiled: Compiled, bounds: str, least: int) -> None:
    """No state is ever reached again: pan -l finds cycles, and no step counts as progress in one."""
    proved(search(tmp_path, compiled, bounds, check="-DNP", run="-l"), least)


@pytest.mark.parametrize(("compiled", "bounds", "broken"), SEEDED)
def test_a_protection_that_is_taken_away_is_missed(
    tmp_path: Path, compiled: Compiled, bounds: str, broken: str
) -> None:
    violated(search(tmp_path, compiled, f"FAULTS=1 DOUBTS=0 {bounds}"), broken)


@pytest.mark.parametrize(("compiled", "bounds", "broken"), KNOWN)
def test_what_is_not_promised_is_found(tmp_path: Path, compiled: Compiled, bounds: str, broken: str) -> None:
    violated(search(tmp_path, compiled, f"FAULTS=1 DOUBTS=0 {bounds}"), broken)


@pytest.mark.skipif(os.environ.get("RQPY_TESTS") != "deep", reason="only with RQPY_TESTS=deep")
@pytest.mark.parametrize(("compiled", "bounds", "least"), PROMISES_DEEP)
def test_the_promises_hold_in_larger_bounds(
    tmp_path: Path, compiled: Compiled, bounds: str, least: int
) -> None:
    proved(search(tmp_path, compiled, bounds, check="-DSAFETY -DCOLLAPSE"), least)


def search(
    folder: Path,
    compiled: Compiled,
    bounds: str,
    *,
    check: str = "-DSAFETY",
    run: str = "",
) -> str:
    """What pan says of a model with these bounds. A later value of a bound counts, as for a compiler."""
    shutil.copy(HERE / f"{compiled.model}.pml", folder)
    values = dict(bound.partition("=")[::2] for bound in bounds.split())
    defines = [f"-D{name}={value}" if value else f"-D{name}" for name, value in values.items()]
    called(folder, ["spin", "-a", *defines, f"{compiled.model}.pml"])
    called(folder, ["gcc", "-w", "-O1", *check.split(), *compiled.options, "-o", "pan", "pan.c"])
    return called(folder, ["./pan", f"-m{LONGEST_RUN}", "-w22", *run.split()])


def called(folder: Path, command: list[str]) -> str:
    """The output of ``command``, which must not fail."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def proved(output: str, least: int) -> None:
    """Assert that everything was searched, and nothing found."""
    assert "errors: 0" in output, output
    for cut_short in ("max search depth too small", "Search not completed", "out of memory"):
        assert cut_short not in output, output
    states = re.search(r"^\s*(\d+) states, stored", output, re.MULTILINE)
    assert states, output
    assert int(states[1]) >= least, output


def violated(output: str, broken: str) -> None:
    """Assert that pan found this very promise broken."""
    found = re.search(r"^pan:1: assertion violated +(.*)", output, re.MULTILINE)
    assert found, output
    assert re.search(broken, found[1]), output
