"""Who watches whom, and when a lease has run out."""

from __future__ import annotations

from pathlib import Path

from rq_py.feeder.ring import Ring
from tests.waiting import wait_until


def watched(ring: Ring) -> list[str]:
    return list(ring._watches)


def test_each_watches_the_two_that_follow_in_a_ring(tmp_path: Path) -> None:
    names = ["a.1", "b.1", "c.1", "d.1"]
    for name in (*names, ".nfs0001"):
        (tmp_path / name).write_text("1")
    follow = {"a.1": ["b.1", "c.1"], "b.1": ["c.1", "d.1"], "c.1": ["d.1", "a.1"], "d.1": ["a.1", "b.1"]}
    for name in names:
        ring = Ring(tmp_path, name, 2.0)
        ring.choose([])
        assert watched(ring) == follow[name]


def test_everybody_is_watched_by_two(tmp_path: Path) -> None:
    names = [f"n{number}.0" for number in range(10)]
    for name in names:
        (tmp_path / name).write_text("1")
    seen: list[str] = []
    for name in names:
        ring = Ring(tmp_path, name, 2.0)
        ring.choose([])
        seen += watched(ring)
    assert sorted(seen) == sorted(names * 2)


def test_alone_there_is_nobody_to_watch(tmp_path: Path) -> None:
    (tmp_path / "a.1").write_text("1")
    ring = Ring(tmp_path, "a.1", 2.0)
    ring.choose(["a.1"])
    assert ring.look() == []


def test_a_feeder_with_jobs_but_no_lease_counts(tmp_path: Path) -> None:
    ring = Ring(tmp_path, "a.1", 0.2)
    ring.choose(["b.1"])
    wait_until(lambda: ring.look() == ["b.1"], 5)


def test_only_a_lease_that_does_not_change_runs_out(tmp_path: Path) -> None:
    ring = Ring(tmp_path, "a.1", 0.3)
    dead, alive = tmp_path / "b.1", tmp_path / "c.1"
    dead.write_text("1")
    alive.write_text("0")
    ring.choose([])
    beats = 0

    def look() -> list[str]:
        nonlocal beats
        beats += 1
        alive.write_text(str(beats))
        return ring.look()

    assert look() == []
    assert wait_until(look, 5) == ["b.1"]
    ring.forget("b.1")
    assert look() == []


def test_an_outage_of_the_folder_keeps_the_watches(tmp_path: Path) -> None:
    folder = tmp_path / "feeders"
    folder.mkdir()
    (folder / "b.1").write_text("1")
    ring = Ring(folder, "a.1", 2.0)
    ring.choose([])
    folder.rename(tmp_path / "gone")
    ring.choose([])
    assert watched(ring) == ["b.1"]
