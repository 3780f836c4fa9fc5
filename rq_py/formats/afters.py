"""What a job is after, as text: ``12``, ``12:failed``, and ``build:any`` for a job of the same submit.

``afterinput`` reads what a user writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

#: How the other job is to end. The first is meant where none is said.
CONDITIONS = ("ok", "failed", "any")


class After(NamedTuple):
    """One other job, by its jid or its name in the same submit, and how it is to end."""

    job: int | str
    condition: str


def split(text: str) -> After:
    """What ``parse`` has returned, in its parts."""
    job, _, condition = text.partition(":")
    return After(int(job) if job[0] in "123456789" else job, condition or CONDITIONS[0])


def text_of(job: int | str, condition: str) -> str:
    """The shortest form."""
    return str(job) if condition == CONDITIONS[0] else f"{job}:{condition}"


def column_of(others: Iterable[tuple[int, str]]) -> str | None:
    """What a listing reads of a job that is after ``others``: a JSON list, None for none."""
    import json

    listed = [jid if condition == CONDITIONS[0] else f"{jid}:{condition}" for jid, condition in others]
    return json.dumps(listed) if listed else None


def listed(text: str | None) -> list[int | str] | None:
    """The list in such a column."""
    if not text:
        return None
    import json

    found: list[int | str] = json.loads(text)
    return found or None


def jids_of(text: str) -> str:
    """The jids in such a column, separated by spaces."""
    return " ".join(str(one).partition(":")[0] for one in listed(text) or ())
