"""What the case ``nfs`` makes of the lab's report: turns, costs, and a reason where there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.case import CannotRun
from bench.cases.nfs import CASES, CONTESTANTS
from bench.nfs.report import LabRun, command, run_lab, save_costs
from tests.nfs.lab.running import _parser
from tests.nfs.scenarios import throughput


def turn(contestant: str, rate: float) -> dict[str, Any]:
    """A turn as the scenario reports it."""
    return {
        "contestant": contestant,
        "jobs_per_second": rate,
        "jobs_per_transaction": 2.0,
        "lock_wait_median_seconds": 0.25,
        "lock_wait_p99_seconds": 1.5,
        "jobs_of_each": {"c1a": 3},
    }


REPORT: dict[str, Any] = {
    "scenario": "throughput",
    "nfs": "4.2",
    "result": "passed",
    "failure": None,
    "folder": "/somewhere",
    "figures": {
        "accelerator": "tcg",
        "costs": {"fixed": 0.5, "claim": 0.001},
        "turns": [turn("rqpy", 30.0), turn("other", 5.0), turn("rqpy", 32.0), turn("other", 6.0)],
    },
}


def lab(folder: Path, report: object, *, status: int = 0) -> list[str]:
    """The argv of a lab that says something, prints this report, and leaves a line for each run."""
    text = f"---\n{yaml.safe_dump(report)}" if report else ""
    program = (
        "import sys; sys.stderr.write('booting\\nno QEMU here\\n'); sys.stdout.write(sys.argv[1]);"
        "open(sys.argv[2], 'a').write('run\\n'); sys.exit(int(sys.argv[3]))"
    )
    return [sys.executable, "-c", program, text, str(folder / "runs"), str(status)]


def test_each_contestant_gets_its_turns_of_one_run(tmp_path: Path) -> None:
    run = LabRun(lab(tmp_path, REPORT), tmp_path / "cache" / "costs.yml")
    figures = [run.next(name) for name in ("rqpy", "other", "rqpy", "other")]
    assert [each["jobs_per_second"] for each in figures] == [30.0, 5.0, 32.0, 6.0]
    assert figures[0]["lock_wait_median_ms"] == 250
    assert figures[0]["lock_wait_p99_ms"] == 1500
    assert (tmp_path / "runs").read_text() == "run\n"
    costs = yaml.safe_load((tmp_path / "cache" / "costs.yml").read_text())
    assert costs["costs"].items() >= {"fixed": 0.5, "claim": 0.001}.items()
    assert costs["machine"]["accelerator"] == "tcg"


def test_costs_that_are_not_of_nfs_are_those_of_this_machine(tmp_path: Path) -> None:
    here, path = tmp_path / "local.yml", tmp_path / "costs.yml"
    save_costs(REPORT, path, here)
    assert yaml.safe_load(path.read_text())["costs"] == {"fixed": 0.5, "claim": 0.001}
    here.write_text("costs: {fixed: 0.004, shell: 0.003}")
    save_costs(REPORT, path, here)
    assert yaml.safe_load(path.read_text())["costs"] == {"fixed": 0.5, "shell": 0.003, "claim": 0.001}


@pytest.mark.parametrize(
    ("report", "status", "reason"),
    [
        (None, 3, "^no QEMU here$"),
        (None, 1, "without a report"),
        ({**REPORT, "result": "failed", "failure": "it broke"}, 1, "it broke: see /somewhere"),
    ],
)
def test_a_lab_that_cannot_run_is_tried_once_and_says_why(
    tmp_path: Path, report: object, status: int, reason: str
) -> None:
    run = LabRun(lab(tmp_path, report, status=status), tmp_path / "costs.yml")
    for name in CONTESTANTS:
        with pytest.raises(CannotRun, match=reason):
            run.next(name)
    assert (tmp_path / "runs").read_text() == "run\n"
    assert not (tmp_path / "costs.yml").exists()


def test_what_the_lab_says_meanwhile_is_passed_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_lab(lab(tmp_path, REPORT)) == REPORT
    assert "booting" in capsys.readouterr().err


def test_the_case_the_command_and_the_scenario_mean_the_same() -> None:
    (case,) = CASES
    assert {contestant.name for contestant in throughput.CONTESTANTS} == set(CONTESTANTS)
    assert case.short_rounds == 0
    given = _parser().parse_args(command(3, 40)[3:])
    assert (given.scenario, given.nfs) == ("throughput", throughput.VERSIONS[0])
    assert given.parameters == ["rounds=3", "seconds=40"]
