"""What the steps of test_queue_api.py are drawn from: jobs, selectors, changes."""

from __future__ import annotations

from hypothesis import strategies as st

from rq_py import JobSpec, State
from rq_py.job import Reason
from tests.model.reference import Row

NODES = ["a", "b"]
COMMANDS = ["true", "sleep 1", "printf 'x\ny'"]
states = st.sampled_from(list(State))
priorities = st.integers(-3, 3)
tags = st.sampled_from([None, "t", "u", "ünï 'c\"ode"])
runners = st.sampled_from([None, "a", "b", "c"])
keys = st.sampled_from([None, None, None, "k", "ünï 'c\"ode"])
stdins = st.sampled_from([None, None, b"", b"one\n", bytes(range(256))])
rows = st.builds(
    Row,
    command=st.sampled_from(COMMANDS),
    priority=priorities,
    tag=tags,
    key=keys,
    runner=runners,
    restartable=st.booleans(),
    retries=st.integers(0, 2),
    kind=st.sampled_from([None, None, None, None, "human"]),
    state=st.sampled_from([State.PENDING, State.PENDING, State.HOLDING]),
)
jids = st.integers(1, 12)
idle = st.sampled_from([State.PENDING, State.HOLDING, State.FINISHED, State.DEAD])
waiting = st.sampled_from([State.PENDING, State.HOLDING])
touched: dict[str, st.SearchStrategy[object]] = {
    "priority": priorities,
    "runner": runners,
    "restartable": st.booleans(),
    "retries": st.integers(0, 2),
    "state": waiting.map(str),
    "stdin": stdins,
    "key": keys,
}
touches = st.fixed_dictionaries({}, optional=touched)
given: dict[str, st.SearchStrategy[object]] = {**touched, "tag": tags, "command": st.sampled_from(COMMANDS)}
changes = st.fixed_dictionaries({}, optional=given)
some_changes = st.sampled_from(sorted(given)).flatmap(
    lambda name: st.fixed_dictionaries(
        {name: given[name]}, optional={other: given[other] for other in given if other != name}
    )
)


def selectors(
    allowed: st.SearchStrategy[State], least: int = 1
) -> st.SearchStrategy[list[State | str | int]]:
    """Jids mostly, states, and sometimes all."""
    return st.lists(st.one_of(jids, jids, allowed, allowed.map(str)), min_size=least, max_size=4) | st.just(
        ["all"]
    )


def spec_of(row: Row) -> JobSpec:
    """What is submitted for ``row``."""
    return JobSpec(
        row.command,
        priority=row.priority,
        tag=row.tag,
        key=row.key,
        kind=row.kind,
        required_runner=row.runner,
        restartable=row.restartable,
        retries=row.retries,
        stage=row.state is State.HOLDING,
    )


def reason_for(jid: int) -> Reason:
    """Why job ``jid`` is buried: both kinds of reasons come up."""
    return Reason.NODE_LOST if jid % 2 else Reason.STOPPED
