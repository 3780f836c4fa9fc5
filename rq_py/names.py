"""The names by which the jobs of one submit are after one another: to which job each belongs, and no cycles.

A name is what ``name`` says, and the jid of a job that was read from a listing: a copy is then after the
copies of the jobs that the original was after. Names live as long as the submit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rq_py.errors import InputError
from rq_py.formats.afters import split
from rq_py.spool import Spool


class Names:
    """The names in one submit; only those that any job is after are held in memory."""

    def __init__(self) -> None:
        self._given = Spool()  # name, and position of the job in the submit
        self._wanted: set[str] = set()
        self._places: dict[str, int] = {}

    def give(self, name: str, position: int) -> None:
        """The job at ``position`` has this name. Raises StorageError."""
        self._given.append([name, position])

    def want(self, after: Iterable[str]) -> None:
        """Some job is after these, in the form of ``formats.afters``."""
        self._wanted.update(one.partition(":")[0] for one in after)

    @property
    def are_wanted(self) -> bool:
        """Whether any job is after another one."""
        return bool(self._wanted)

    def find(self, jobs: Iterable[tuple[Sequence[str], int, int]]) -> None:
        """Find the positions of what is wanted, when all of it is known.

        ``jobs`` is what each several jobs are after, from which position on, and how many they are. Raises
        InputError for a name that no job has, or more than one, and when a job would be after itself.
        """
        if not self._wanted:
            return
        for row in self._given:
            name, position = str(row[0]), int(str(row[1]))
            if name in self._wanted and self._places.setdefault(name, position) != position:
                raise InputError(f"after: {name}: several jobs of this submit are called so")
        for name in self._wanted - self._places.keys():
            if isinstance(split(name).job, str):
                raise InputError(f"after: {name}: no job of this submit is called so")
        self._check_cycles(jobs)

    def _check_cycles(self, jobs: Iterable[tuple[Sequence[str], int, int]]) -> None:
        """Raise InputError for a cycle. Only a job that others are after can be in one."""
        targets = set(self._places.values())
        before: dict[int, set[int]] = {}
        for after, first, count in jobs:
            others = {
                self._places[one] for one in (text.partition(":")[0] for text in after) if one in self._places
            }
            if others:
                before |= dict.fromkeys(targets.intersection(range(first, first + count)), others)
        if not any(place >= own for own, others in before.items() for place in others):
            return  # each is after earlier ones
        import graphlib

        try:
            graphlib.TopologicalSorter(before).prepare()
        except graphlib.CycleError as error:
            names = {place: name for name, place in self._places.items()}
            raise InputError(f"after: {names[error.args[1][0]]} would be after itself") from None

    def resolved(self, after: Iterable[str], jid_of: Callable[[int], int]) -> list[tuple[int, str]]:
        """The jids, ascending, that ``after`` means, with the conditions.

        ``jid_of`` says which jid is at a position. Raises InputError for a jid that is meant twice.
        """
        found: dict[int, str] = {}
        for text in after:
            job, condition = split(text)
            place = self._places.get(str(job))
            jid = int(job) if place is None else jid_of(place)
            if found.setdefault(jid, condition) != condition:
                raise InputError(f"after: {job} is given with two conditions")
        return sorted(found.items())
