"""The jobs of one acknowledged submit: at which jid each of them is, those too that were there already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from rq_py.batches import Batches, Common
from rq_py.formats.afters import column_of
from rq_py.job import Job, Reason, State
from rq_py.spool import Spool


class Places:
    """The jids of a submit's jobs by their positions in it: new ones in a row, and some that were there."""

    def __init__(self, first_jid: int) -> None:
        self.first_jid = first_jid  #: of the new ones
        self._positions: list[int] = []  # of those that were there, ascending
        self._jids: list[int] = []

    def __len__(self) -> int:
        """How many were there."""
        return len(self._jids)

    def __iter__(self) -> Iterator[int]:
        """The jids of those that were there, in the order of the submit."""
        return iter(self._jids)

    def was_there(self, position: int, jid: int) -> None:
        """The job at ``position``, which is behind all that were told before, is this one."""
        self._positions.append(position)
        self._jids.append(jid)

    def is_new(self, position: int) -> bool:
        """Whether the job at ``position`` is submitted."""
        return self._find(position)[1] is None

    def jid_of(self, position: int) -> int:
        """The jid of the job at ``position``, behind which nothing was told yet where it is a new one's."""
        before, jid = self._find(position)
        return self.first_jid + position - before if jid is None else jid

    def _find(self, position: int) -> tuple[int, int | None]:
        """How many before ``position`` were there, and the jid of the one at it if that was."""
        if not self._positions:
            return 0, None
        from bisect import bisect_left  # most jobs have no key

        index = bisect_left(self._positions, position)
        is_there = index < len(self._positions) and self._positions[index] == position
        return index, self._jids[index] if is_there else None


class Submitted:
    """The jobs of one acknowledged submit. Iterating reads the spool: no lock is held."""

    def __init__(
        self, batches: Batches, places: Places, submitted: str, submitter: str, dead: frozenset[int]
    ) -> None:
        self._batches = batches
        self._places = places
        self._dead = dead  # the jids of those of which it was known that they would never run
        self._submitted = submitted
        self._submitter = submitter
        self.were_there = Spool()  #: the rows of those whose keys others had, in their order

    @property
    def count(self) -> int:
        """How many jobs there are, also those that were there already."""
        return self._batches.count

    @property
    def new(self) -> int:
        """How many jobs were submitted."""
        return self._batches.count - len(self._places)

    @property
    def first_jid(self) -> int:
        """The jid of the first job; where any is new, that of the first of these."""
        return self._places.first_jid if self.new else self._places.jid_of(0)

    def jids(self) -> Iterable[int]:
        """The jids of all jobs, in no order."""
        yield from range(self._places.first_jid, self._places.first_jid + self.new)
        yield from self._places

    def __len__(self) -> int:
        return self._batches.count

    def __str__(self) -> str:
        """What has happened, for messages."""
        texts = []
        if self.new:
            texts.append(f"jobs {self.first_jid} to {self.first_jid + self.new - 1} were submitted")
        if len(self._places):
            texts.append(f"{len(self._places)} were there with their keys")
        return ", ".join(texts)

    def __iter__(self) -> Iterator[Job]:
        jid, position = self._places.first_jid, 0
        were_there = self._jobs_there()
        for common, commands in self._batches:
            first = self._job(common)
            for place, command in enumerate(commands, position):
                if common.key is not None and not self._places.is_new(place):
                    yield next(were_there)
                    continue
                job = first._replace(jid=jid, command=command)
                yield self._buried(job) if jid in self._dead else job
                jid += 1
            position += len(commands)

    def _jobs_there(self) -> Iterator[Job]:
        from rq_py.store.rows import jobs_of

        yield from jobs_of(cast("Iterator[list[object]]", iter(self.were_there)))

    def _buried(self, job: Job) -> Job:
        return job._replace(state=State.DEAD, reason=Reason.DEPENDENCY, finished=self._submitted)

    def _job(self, common: Common) -> Job:
        return Job(
            jid=0,
            priority=common.priority,
            state=State.HOLDING if common.stage else State.PENDING,
            submitted=self._submitted,
            started=None,
            finished=None,
            elapsed=None,
            submitter=self._submitter,
            runner=None,
            required_runner=common.required_runner,
            has_stdin=common.has_stdin,
            has_data=common.has_data,
            pid=None,
            exit_status=None,
            signal=None,
            reason=None,
            attempt=0,
            user_cpu=None,
            system_cpu=None,
            max_rss=None,
            tag=common.tag,
            restartable=common.restartable,
            cwd=common.cwd,
            env=common.env,
            command="",
            token="",
            feeder=None,
            not_before=common.not_before,
            expires=common.expires,
            timeout=common.timeout,
            retries=common.retries,
            backoff=common.backoff,
            collect=common.collect,
            key=common.key,
            kind=common.kind,
            after=column_of(self._batches.names.resolved(common.after, self._places.jid_of)),
        )
