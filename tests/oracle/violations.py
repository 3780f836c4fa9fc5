"""Each way to spoil a story in which all was well, and the rules that must find it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.oracle.evidence import Database, Submit
from tests.oracle.story import Story


def lost(story: Story) -> None:
    story.submits.append(Submit("acknowledged", "gone", 1, (77,)))


def lost_without_jids(story: Story) -> None:
    story.submits.append(Submit("acknowledged", "gone", 2))


def lost_to_another(story: Story) -> None:
    story.submits.append(Submit("acknowledged", "gone", 1, (1,)))


def failed_but_there(story: Story) -> None:
    story.submit(9, tag="no", outcome="failed")
    story.run(9, 50.0)


def half_submitted(story: Story) -> None:
    story.submit(9, tag="half", outcome="unknown")
    story.submits[-1] = replace(story.submits[-1], count=2)
    story.run(9, 50.0)


def unexpected(story: Story) -> None:
    story.change(9, tag="nobody's")
    story.run(9, 50.0)


def not_terminal(story: Story) -> None:
    story.submit(9, tag="late")


def left_holding(story: Story) -> None:
    story.submit(9, tag="late")
    story.change(9, state="holding")


def row_without_its_transition(story: Story) -> None:
    story.rows[1] = replace(story.rows[1], state="dead", reason="node_lost")


def row_that_nobody_inserted(story: Story) -> None:
    story.rows[9] = replace(story.rows[1], jid=9)


def row_that_is_gone(story: Story) -> None:
    del story.rows[1]


def transition_out_of_nowhere(story: Story) -> None:
    story.rows[1] = replace(story.rows[1], attempt=5)
    story.change(1)


def running_to_holding(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9)
    story.change(9, state="holding", token="")
    story.change(9, state="pending")
    story.run(9, 50.0)


def pending_to_finished(story: Story) -> None:
    story.submit(9, tag="x")
    story.finish(9)


def born_running(story: Story) -> None:
    story.submits.append(Submit("unknown", "x", 1))
    story.change(9, tag="x", state="running", runner="n1")
    story.finish(9)


def born_with_a_past(story: Story) -> None:
    story.submits.append(Submit("unknown", "x", 1))
    story.change(9, tag="x", attempt=3)
    story.run(9, 50.0)


def claim_that_skips_an_attempt(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9, attempt=2)
    story.start(9, 50.0)
    story.end(9, 51.0)
    story.finish(9)


def claim_without_a_token(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9, token="")
    story.start(9, 50.0)
    story.end(9, 51.0)
    story.finish(9)


def claim_with_an_old_token(story: Story) -> None:
    story.submit(9, tag="x", restartable=True)
    story.claim(9)
    story.release(9)
    story.claim(9, token="token.9.1")  # noqa: S106
    story.start(9, 50.0)
    story.end(9, 51.0)
    story.finish(9)


def finish_by_another_token(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9)
    story.start(9, 50.0)
    story.end(9, 51.0)
    story.change(9, state="finished", exit_status=0, token="another")  # noqa: S106


def finish_of_another_attempt(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9)
    story.start(9, 50.0)
    story.change(9, state="finished", exit_status=0, attempt=2)


def finish_that_says_nothing(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9)
    story.finish(9, exit_status=None)


def restartable_that_is_buried(story: Story) -> None:
    story.submit(9, tag="x", restartable=True)
    story.claim(9)
    story.bury(9)


def buried_for_no_reason(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9)
    story.bury(9, "whim")


def late_finish_of_another_death(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9)
    story.start(9, 50.0)
    story.end(9, 51.0)
    story.bury(9, "runner_lost")
    story.finish(9)


def finished_twice(story: Story) -> None:
    story.finish(1, 3)


def dead_twice(story: Story) -> None:
    story.bury(4, "runner_lost")


def finished_and_dead(story: Story) -> None:
    story.bury(1)


def deleted(story: Story) -> None:
    story.delete(1)
    story.submits[0] = replace(story.submits[0], jids=(2, 3, 4))


def deleted_while_running(story: Story) -> None:
    story.submit(9, tag="x", outcome="unknown")
    story.claim(9)
    story.delete(9)


def resubmitted(story: Story) -> None:
    story.resubmit(1)
    story.run(1, 60.0)


def started_twice(story: Story) -> None:
    story.start(1, 10.5)


def ended_twice(story: Story) -> None:
    story.end(1, 11.5, status=3)


def started_again(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9)
    story.start(9, 50.0)
    story.release(9)
    story.run(9, 60.0)


def started_unclaimed(story: Story) -> None:
    story.start(1, 20.0, attempt=2)


def started_elsewhere(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9, "n1")
    story.start(9, 50.0, "n2")
    story.end(9, 51.0, "n2")
    story.finish(9)


def overlap(story: Story) -> None:
    story.line("beat", 5, 20.5, attempt=1)


def overlap_the_other_way_round(story: Story) -> None:
    story.submit(9, tag="x", restartable=True)
    story.claim(9)
    story.release(9)
    story.run(9, 50.0, "n2", seconds=10.0)
    story.start(9, 55.0, attempt=1)


def finished_without_an_end(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9)
    story.start(9, 50.0)
    story.finish(9)


def finished_without_a_start(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9)
    story.finish(9)


def finished_with_another_status(story: Story) -> None:
    story.submit(9, tag="x")
    story.claim(9)
    story.start(9, 50.0)
    story.end(9, 51.0, status=2)
    story.finish(9, 0)


def never_ran_says_the_row(story: Story) -> None:
    story.start(8, 50.0)


def ended_by_us(story: Story) -> None:
    story.submit(9, tag="x", restartable=True)
    story.claim(9)
    story.start(9, 50.0)
    story.finish(9, None, 15)


def end_without_a_start(story: Story) -> None:
    story.lines = [line for line in story.lines if (line.jid, line.event) != (1, "start")]


def corrupt(story: Story) -> None:
    story.integrity = "row 3 missing from index jobs_state"


def corrupt_rotation(story: Story) -> None:
    story.rotations.append(Database({}, None, "database disk image is malformed"))


def running_in_a_rotation(story: Story) -> None:
    story.rotations.append(Database({1: replace(story.rows[1], state="running")}, None))


VIOLATIONS: list[tuple[Callable[[Story], None], set[str]]] = [
    (lost, {"lost"}),
    (lost_without_jids, {"lost"}),
    (lost_to_another, {"lost"}),
    (failed_but_there, {"failed-but-there"}),
    (half_submitted, {"half-submitted"}),
    (unexpected, {"unexpected"}),
    (not_terminal, {"not-terminal"}),
    (left_holding, {"not-terminal"}),
    (row_without_its_transition, {"audit"}),
    (row_that_nobody_inserted, {"audit", "half-submitted"}),
    (row_that_is_gone, {"audit", "lost"}),
    (transition_out_of_nowhere, {"audit", "terminal-rewritten"}),
    (running_to_holding, {"illegal-transition"}),
    (pending_to_finished, {"illegal-transition"}),
    (born_running, {"illegal-transition", "wrong-outcome"}),
    (born_with_a_past, {"illegal-transition"}),
    (claim_that_skips_an_attempt, {"illegal-transition"}),
    (claim_without_a_token, {"illegal-transition"}),
    (claim_with_an_old_token, {"illegal-transition"}),
    (finish_by_another_token, {"illegal-transition"}),
    (finish_of_another_attempt, {"illegal-transition", "wrong-outcome"}),
    (finish_that_says_nothing, {"illegal-transition", "wrong-outcome"}),
    (restartable_that_is_buried, {"illegal-transition"}),
    (buried_for_no_reason, {"illegal-transition"}),
    (late_finish_of_another_death, {"illegal-transition"}),
    (finished_twice, {"terminal-rewritten"}),
    (dead_twice, {"terminal-rewritten"}),
    (finished_and_dead, {"terminal-rewritten"}),
    (deleted, {"unexpected-delete"}),
    (deleted_while_running, {"illegal-transition"}),
    (resubmitted, {"unexpected-resubmit"}),
    (started_twice, {"started-twice"}),
    (ended_twice, {"ended-twice", "wrong-outcome"}),
    (started_again, {"started-again", "released-though-started"}),
    (started_unclaimed, {"started-unclaimed", "started-again"}),
    (started_elsewhere, {"started-elsewhere"}),
    (overlap, {"overlap"}),
    (overlap_the_other_way_round, {"overlap"}),
    (finished_without_an_end, {"wrong-outcome"}),
    (finished_without_a_start, {"wrong-outcome"}),
    (finished_with_another_status, {"wrong-outcome"}),
    (never_ran_says_the_row, {"wrong-outcome"}),
    (ended_by_us, {"ended-by-us"}),
    (end_without_a_start, {"evidence"}),
    (corrupt, {"integrity"}),
    (corrupt_rotation, {"integrity"}),
    (running_in_a_rotation, {"not-terminal"}),
]
