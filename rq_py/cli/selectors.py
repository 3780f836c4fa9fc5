"""Jobs as they are named on the command line and on stdin: states, also abbreviated, ``all``, and jids."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from rq_py.errors import UsageError
from rq_py.formats.excerpt import shown
from rq_py.job import LARGEST_JID, State

if TYPE_CHECKING:
    from rq_py.job import Job
    from rq_py.selection import Selector

ALL = "all"
STDIN = "-"

#: How many jids without a job are told, each in a line of its own.
_TOLD = 20


class Selection:
    """The selectors of one command line, with the jids from stdin, and which of them have matched a job.

    ``wanted`` is what ``Queue.jobs``, ``Queue.delete`` and the like take: nothing where nothing was named,
    which is all jobs to ``Queue.jobs``. ``jids`` are the jids in the order in which they were named. A
    million of them take 8 MB. Raises UsageError for a word that is no selector.
    """

    def __init__(self, words: Iterable[str], further: Iterable[int] | None = None) -> None:
        self.jids = array("q")
        self.states: list[State] = []
        self.names_all = False
        is_anything_named = False
        for word in words:
            is_anything_named = True
            self._add(selector(word))
        if further is not None:
            is_anything_named = True
            self.jids.extend(further)
        self.wanted: tuple[Selector, ...] = ()
        if self.names_all:
            self.wanted = (ALL,)
        elif is_anything_named:
            self.wanted = (*self.states, self.jids)
        self._unmatched: set[State] = set(self.states)
        self._ordered: Sequence[int] = ()
        self._next = 0  # of _ordered: those before have matched, or are among _missing
        self._missing: list[int] = []
        self._missing_count = 0

    def _add(self, one: State | int | None) -> None:
        """Take what a word names."""
        if one is None:
            self.names_all = True
        elif isinstance(one, State):
            if one not in self.states:
                self.states.append(one)
        else:
            self.jids.append(one)

    @property
    def is_nothing(self) -> bool:
        """Whether stdin was read and, with the words, names no job at all."""
        return not (self.names_all or self.states or self.jids) and self.wanted != ()

    def watch(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Pass ``jobs`` on, which come in the order of their jids, and note what they match."""
        is_ordered = all(one <= two for one, two in pairwise(self.jids))  # as every listing is
        self._ordered = self.jids if is_ordered else array("q", sorted(self.jids))
        unmatched = self._unmatched
        for job in jobs:
            if unmatched:
                unmatched.discard(job.state)
            if self._next < len(self._ordered):
                self._pass(job.jid)
            yield job
        self._pass(LARGEST_JID + 1)

    def _pass(self, jid: int) -> None:
        """Note that the jobs up to ``jid`` have come, and ``jid`` last."""
        ordered, position = self._ordered, self._next
        while position < len(ordered) and ordered[position] <= jid:
            wanted = ordered[position]
            if wanted < jid:
                self._missing_count += 1
                if len(self._missing) < _TOLD:
                    self._missing.append(wanted)
            while position < len(ordered) and ordered[position] == wanted:
                position += 1
        self._next = position

    @property
    def unmatched(self) -> list[str]:
        """What was named and has matched no job, for messages: the first jids in order, then states."""
        jids = [f"job {jid}" for jid in self._missing]
        if self._missing_count > len(jids):
            jids.append(f"job of {self._missing_count - len(jids)} further jids")
        return [*jids, *(f"{state} job" for state in State if state in self._unmatched)]


def read_selection(words: Sequence[str], *, implied_stdin: bool = False) -> Selection:
    """The jobs that ``words`` name; for the word ``-``, those that stdin names too.

    Stdin holds a listing in YAML, as any mode prints it, or one jid per line. With ``implied_stdin`` it is
    also read where there is no word and it is no terminal. Raises UsageError, InputError.
    """
    named = [word for word in words if word != STDIN]
    if len(named) == len(words) and (words or not implied_stdin or _is_terminal()):
        return Selection(named)
    if sys.stdin is None:
        raise UsageError("stdin is closed: name jobs by state or jid")
    from rq_py.cli.printing import print_line
    from rq_py.formats.jidinput import read_jids

    if _is_terminal():
        print_line("reading jids from the terminal, one per line; end with Ctrl-D", "info")
    return Selection(named, read_jids(sys.stdin.buffer, "stdin"))


def _is_terminal() -> bool:
    """Whether stdin is a terminal, or closed: nothing is to be read from it unasked."""
    return sys.stdin is None or sys.stdin.isatty()


def selector(word: str) -> State | int | None:
    """The state or jid that ``word`` names, None for all jobs. Raises UsageError."""
    if word.isascii() and word.isdigit():
        jid = int(word) if len(word) < 20 else 0
        if not 0 < jid <= LARGEST_JID:
            raise UsageError(f"{shown(word)}: no job can have this jid")
        return jid
    matches = [name for name in (*State, ALL) if word and name.startswith(word)]
    if len(matches) != 1:
        raise UsageError(f"{shown(word)}: is neither a jid nor a state, which are {' '.join(State)} all")
    return None if matches[0] == ALL else State(matches[0])
