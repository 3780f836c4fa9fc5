"""The costs that a simulation is given, and the page that it writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import CannotRun
from bench.nfs.report import save_costs
from bench.simulation import page
from bench.simulation.__main__ import COSTS as COSTS_FOLDER
from bench.simulation.costs import Costs
from bench.simulation.fit import line
from bench.simulation.page import Priced
from tests.bench.test_simulation import COSTS


def test_a_line_through_measurements() -> None:
    fixed, each = line({size: [0.005 + size * 1e-4, 0.005 + size * 1e-4, 1.0] for size in (1, 8, 64)})
    assert fixed == pytest.approx(0.005)
    assert each == pytest.approx(1e-4)
    assert line({1: [2.0]}) == (2.0, 0.0)


def test_costs_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    COSTS.save(path, {"cpu": "X"})
    assert Costs.load(path) == (COSTS, {"cpu": "X"})
    COSTS.save(path, {})
    whole = path.read_text()
    for known, other, why in (
        ("  empty: 0.0005\n", "", "empty"),
        ("is_shared: false\n", "", "is_shared"),
        ("is_shared: false\n", "is_shared: 0\n", "is_shared"),
    ):
        assert known in whole
        path.write_text(whole.replace(known, other))
        with pytest.raises(CannotRun, match=why):
            Costs.load(path)


def test_costs_of_the_lab_are_of_a_mount_and_the_rest_of_this_machine(tmp_path: Path) -> None:
    here, path = tmp_path / "here.yml", tmp_path / "lab.yml"
    COSTS.save(here, {})
    report = {"nfs": "4.2", "figures": {"accelerator": "kvm", "costs": {"fixed": 0.5, "lock": 0.1}}}
    save_costs(report, path, here)
    costs, machine = Costs.load(path)
    assert costs == replace(COSTS, fixed=0.5, is_shared=True)
    assert machine["place"] == "NFS lab, v4.2"


@pytest.mark.parametrize("path", sorted(COSTS_FOLDER.glob("*.yml")), ids=lambda path: path.stem)
def test_the_stored_costs_can_be_read(path: Path) -> None:
    costs, machine = Costs.load(path)
    assert 0 < costs.empty < costs.fixed
    assert machine


def test_a_table_is_written_between_its_marks_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    kept = "<!-- end -->\n<!-- table: grids -->\nkept\n<!-- end -->\n"
    path.write_text(f"Above\n<!-- table: costs -->\nold\n{kept}")
    prices = [
        Priced("local", COSTS, {"cores": 2, "file_system": "ext4"}),
        Priced("lab", COSTS, {"place": "NFS lab", "accelerator": "tcg"}),
    ]
    page.publish(path, prices, lambda line: None, ["costs"])
    text = path.read_text()
    assert text.startswith("Above\n<!-- table: costs -->\n")
    assert "| local | 2 cores, ext4 | 5.00 | 0.50 |" in text
    assert "| lab | NFS lab | 5.00 | 0.50 |" in text
    assert "old" not in text
    assert text.endswith(kept)
    with pytest.raises(CannotRun, match="no table ahead"):
        page.publish(path, prices, lambda line: None, ["ahead"])
