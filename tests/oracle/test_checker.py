"""The checker finds every violation that is put before it, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.oracle.checker import Excuse, Expected, Freeze, check
from tests.oracle.evidence import Database, Probe, Row
from tests.oracle.story import Story, full, place
from tests.oracle.timeline import Clocks, Timeline
from tests.oracle.violations import VIOLATIONS, ended_by_us, left_holding


def rules(story: Story, expected: Expected | None = None, clocks: Clocks | None = None) -> set[str]:
    """The names of the violated rules."""
    return {violation.rule for violation in check(story.evidence, expected, clocks)}


def test_nothing_is_found_where_all_is_well() -> None:
    assert check(full().evidence) == []


def test_an_empty_queue_is_well() -> None:
    assert check(Story().evidence) == []


@pytest.mark.parametrize(("deed", "expected"), VIOLATIONS, ids=[deed.__name__ for deed, _ in VIOLATIONS])
def test_each_violation_is_found_by_its_rule_and_no_other(
    deed: Callable[[Story], None], expected: set[str]
) -> None:
    story = full()
    deed(story)
    assert rules(story) == expected


def test_what_the_test_itself_did_is_no_violation() -> None:
    story = full()
    left_holding(story)
    story.delete(1)
    story.resubmit(4)
    story.run(4, 60.0)
    expected = Expected(removed={1}, held={9}, resubmitted={4})
    assert rules(story, expected) == set()
    assert rules(story) == {"not-terminal", "unexpected-delete", "lost", "unexpected-resubmit"}


def test_a_rotated_job_is_there_in_its_rotation() -> None:
    story = full()
    story.rotations.append(Database({1: story.rows[1]}, None))
    assert rules(story) == set()  # in both: the maker was killed
    story.delete(1)
    assert rules(story) == set()
    story.rotations = [Database({1: replace(story.rows[2], jid=1, tag="again")}, None)]
    assert rules(story) == {"lost", "half-submitted"}


def test_jobs_that_a_test_signals_may_end_by_that() -> None:
    story = full()
    ended_by_us(story)
    assert rules(story, Expected(jobs_are_signalled=True)) == set()


def test_without_an_audit_nothing_is_vouched_for() -> None:
    story = Story()
    evidence = replace(story.evidence, queue=Database({}, None))
    assert [violation.rule for violation in check(evidence)] == ["audit"]


def test_a_resubmitted_job_runs_once_more_and_not_twice() -> None:
    story = full()
    story.resubmit(1)
    story.run(1, 60.0)
    assert rules(story, Expected(resubmitted={1})) == set()
    story.start(1, 70.0, attempt=3)
    assert rules(story, Expected(resubmitted={1})) == {"started-again", "started-unclaimed"}


def test_a_lost_node_may_still_run_what_a_person_has_resubmitted() -> None:
    def resubmitted_after(reason: str) -> Story:
        story = full()
        story.submit(9, tag="x")
        story.claim(9)
        story.start(9, 50.0)
        story.bury(9, reason)
        story.line("beat", 9, 70.0)
        story.resubmit(9)
        story.run(9, 60.0, "n2")
        return story

    expected = Expected(resubmitted={9})
    assert rules(resubmitted_after("node_lost"), expected) == set()
    assert rules(resubmitted_after("runner_lost"), expected) == {"overlap"}


def test_a_frozen_machine_may_go_on_for_a_second() -> None:
    def frozen(last: float) -> Story:
        story = full()
        story.line("beat", 5, last, attempt=1)
        return story

    freeze = Freeze(place("n1"), until=60.0)
    assert rules(frozen(60.9), Expected(freezes=[freeze])) == set()
    assert rules(frozen(61.2), Expected(freezes=[freeze])) == {"overlap"}
    assert rules(frozen(61.2), Expected(freezes=[freeze], after_freeze=2.0)) == set()
    assert rules(frozen(60.9), Expected(freezes=[Freeze(place("n2"), until=60.0)])) == {"overlap"}
    # What began only after it woke up was not taken over because of the freeze.
    assert rules(frozen(20.5), Expected(freezes=[Freeze(place("n1"), until=19.9)])) == {"overlap"}


def test_times_of_different_machines_are_compared_in_laboratory_time() -> None:
    story = full()
    story.line("beat", 5, 20.5, attempt=1)
    here, late = Timeline([(0.0, 0.0)]), Timeline([(0.0, 1.0)])
    assert rules(story, clocks=Clocks({place("n1"): here, place("n2"): late})) == set()
    assert rules(story, clocks=Clocks({place("n1"): late, place("n2"): here})) == {"overlap"}


def test_a_timeline_bends_at_its_points() -> None:
    # A clock that is 10 % fast, paused at 110 for 50 seconds.
    line = Timeline([(0.0, 1000.0), (110.0, 1100.0), (110.0, 1150.0), (121.0, 1160.0)])
    times = [line.time(at) for at in (-1.0, 0.0, 55.0, 109.999, 110.0, 115.5, 121.0, 131.0)]
    assert times == pytest.approx([999.0, 1000.0, 1050.0, 1100.0, 1150.0, 1155.0, 1160.0, 1170.0], abs=0.01)


@pytest.mark.parametrize(
    ("seconds", "status", "expected"), [(2.0, 0, set()), (6.0, 0, {"lock-wait"}), (2.0, 75, {"lock-wait"})]
)
def test_a_probe_must_come_back_in_time(seconds: float, status: int, expected: set[str]) -> None:
    story = full()
    story.probes.append(Probe(place("n1"), 100.0, seconds, status))
    assert rules(story, Expected(lock_bound=5.0)) == expected
    assert rules(story) == set()
    excuse = Excuse(place("n1"), 90.0, 101.0)
    assert rules(story, Expected(lock_bound=5.0, excuses=[excuse])) == set()
    for other in (Excuse(place("n2"), 90.0, 101.0), Excuse(place("n1"), 90.0, 99.0)):
        assert rules(story, Expected(lock_bound=5.0, excuses=[other])) == expected


def test_a_violation_is_one_line_that_names_the_job() -> None:
    story = full()
    story.finish(1, 3)
    (violation,) = check(story.evidence)
    assert str(violation).startswith("terminal-rewritten: job 1: #")
    assert "\n" not in str(violation)


def test_a_row_is_compared_with_what_the_audit_ends_with() -> None:
    story = full()
    story.rows[1] = Row(1, "tag", "pending", 0)
    assert rules(story) == {"audit", "not-terminal"}
