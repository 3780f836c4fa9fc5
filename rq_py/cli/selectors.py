"""Jobs as they are named on the command line: states and their abbreviations, ``all``, and jids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rq_py.errors import UsageError
from rq_py.formats.excerpt import shown
from rq_py.job import State

if TYPE_CHECKING:
    from rq_py.job import Job

ALL = "all"
_LARGEST_JID = 2**63 - 1


class Selection:
    """The selectors of one command line, and which of them have matched a job.

    ``wanted`` is what ``Queue.jobs`` takes: nothing for all jobs. Raises UsageError for a word that is
    no selector.
    """

    def __init__(self, words: Iterable[str]) -> None:
        selectors = [selector(word) for word in words]
        self._unmatched: set[State | int] = {one for one in selectors if one is not None}
        self.wanted: tuple[State | int, ...] = () if None in selectors else tuple(self._unmatched)

    def watch(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Pass ``jobs`` on, and note what they match."""
        unmatched = self._unmatched
        for job in jobs:
            if unmatched:
                unmatched.discard(job.jid)
                unmatched.discard(job.state)
            yield job

    @property
    def unmatched(self) -> list[str]:
        """What was named and has matched no job, for a message: jids in order, then states."""
        jids = sorted(one for one in self._unmatched if isinstance(one, int))
        states = [state for state in State if state in self._unmatched]
        return [*(f"job {jid}" for jid in jids), *(f"{state} job" for state in states)]


def selector(word: str) -> State | int | None:
    """The state or jid that ``word`` names, None for all jobs. Raises UsageError."""
    if word.isascii() and word.isdigit():
        jid = int(word) if len(word) < 20 else 0
        if not 0 < jid <= _LARGEST_JID:
            raise UsageError(f"{shown(word)}: no job can have this jid")
        return jid
    matches = [name for name in (*State, ALL) if word and name.startswith(word)]
    if len(matches) != 1:
        raise UsageError(f"{shown(word)}: is neither a jid nor a state, which are {' '.join(State)} all")
    return None if matches[0] == ALL else State(matches[0])
