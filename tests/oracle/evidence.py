"""Reads what jobs, submitters, probers and the audit have written into frozen records. No judgement here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: One machine since one boot: the time that it counts means nothing on another.
Place = tuple[str, str]

#: What job.sh writes.
EVENTS = frozenset({"start", "beat", "end"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of job.sh. ``at`` is in seconds since that boot."""

    event: str
    jid: int
    attempt: int
    place: Place
    at: float
    pid: int
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Submit:
    """One submit: ``acknowledged``, ``failed`` or ``unknown``."""

    outcome: str
    tag: str
    count: int
    jids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """How long one ``rqpy status`` took, in seconds, and how it ended."""

    place: Place
    at: float
    seconds: float
    status: int


@dataclass(frozen=True, slots=True)
class Row:
    """What the oracle knows of a job's row, at the end or on one side of a transition."""

    jid: int
    tag: str | None
    state: str
    attempt: int
    token: str = ""
    restartable: bool = False
    reason: str | None = None
    feeder: str | None = None
    runner: str | None = None
    exit_status: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the audit, in the order of ``seq``: an insert has no ``old``, a delete no ``new``."""

    seq: int
    generation: int
    jid: int
    old: Row | None
    new: Row | None


@dataclass(frozen=True, slots=True)
class Database:
    """What a database says: its rows, its transitions (None where nothing recorded them), its integrity."""

    rows: Mapping[int, Row]
    audit: Sequence[Change] | None
    integrity: str = "ok"
    generation: int = 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was collected when all was over."""

    queue: Database
    lines: Sequence[Line] = ()
    submits: Sequence[Submit] = ()
    rotations: Sequence[Database] = ()
    probes: Sequence[Probe] = ()
    torn: int = field(default=0)  #: lines that were not whole: a node lost its power there


def read_jobs(files: Iterable[Path]) -> tuple[list[Line], int]:
    """The lines of job.sh in ``files``, and how many were not whole."""
    lines, torn = [], 0
    for file in files:
        for text in file.read_bytes().decode("utf-8", "replace").splitlines():
            # A file that lost its last blocks in a power cut may end in zeros.
            if not (words := text.strip("\0").split()):
                continue
            try:
                event, jid, attempt, node, boot, at, pid, status, end = words
                code = None if status == "-" else int(status)
                line = Line(event, int(jid), int(attempt), (node, boot), float(at), int(pid), code)
            except ValueError:
                torn += 1
                continue
            if line.event in EVENTS and end == ".":
                lines.append(line)
            else:
                torn += 1
    return lines, torn


def _documents(files: Iterable[Path]) -> Iterable[dict[str, object]]:
    """The whole lines of JSON in ``files``; a torn one was never waited for."""
    for file in files:
        for text in file.read_bytes().decode("utf-8", "replace").splitlines():
            try:
                document = json.loads(text.strip("\0"))
            except ValueError:
                continue
            if isinstance(document, dict):
                yield document


def read_submits(files: Iterable[Path]) -> list[Submit]:
    """The submits in the logs of submit.py; one that was tried and has no answer is ``unknown``."""
    found: dict[str, Submit] = {}
    for line in _documents(files):
        tag, outcome, jids = str(line["tag"]), str(line["outcome"]), line["jids"]
        assert isinstance(jids, list)
        outcome = "unknown" if outcome == "trying" else outcome
        found[tag] = Submit(outcome, tag, int(str(line["count"])), tuple(int(jid) for jid in jids))
    return list(found.values())


def read_probes(files: Iterable[Path]) -> list[Probe]:
    """The probes in the logs of lock_prober.py."""
    return [
        Probe(
            (str(line["node"]), str(line["boot"])),
            float(str(line["boottime"])),
            float(str(line["seconds"])),
            int(str(line["status"])),
        )
        for line in _documents(files)
    ]


def collect(
    dump: Mapping[str, object], folder: Path, rotations: Iterable[Mapping[str, object]] = ()
) -> Evidence:
    """All in ``folder`` and below it (jobs.*, submits.*, probes.*), with what ``audit.dump`` has read."""
    lines, torn = read_jobs(sorted(folder.rglob("jobs.*")))
    return Evidence(
        queue=database_of(dump),
        lines=lines,
        submits=read_submits(sorted(folder.rglob("submits.*"))),
        rotations=[database_of(rotation) for rotation in rotations],
        probes=read_probes(sorted(folder.rglob("probes.*"))),
        torn=torn,
    )


def database_of(dump: Mapping[str, object]) -> Database:
    """What ``audit.dump`` has read, also after its way through JSON."""
    rows = dump["rows"]
    audit = dump["audit"]
    assert isinstance(rows, list)
    assert audit is None or isinstance(audit, list)
    return Database(
        rows={int(row["jid"]): _row(row, "") for row in rows},
        audit=None if audit is None else [_change(line) for line in audit],
        integrity=str(dump["integrity"]),
        generation=int(str(dump["generation"])),
    )


def _row(values: Mapping[str, object], prefix: str) -> Row:
    def text(name: str) -> str | None:
        value = values[prefix + name]
        return None if value is None else str(value)

    def number(name: str) -> int | None:
        value = text(name)
        return None if value is None else int(value)

    tag = values["tag"]
    return Row(
        jid=int(str(values["jid"])),
        tag=None if tag is None else str(tag),
        state=text("state") or "",
        attempt=number("attempt") or 0,
        token=text("token") or "",
        restartable=bool(number("restartable")),
        reason=text("reason"),
        feeder=text("feeder"),
        runner=text("runner"),
        exit_status=number("exit_status"),
        signal=number("signal"),
    )


def _change(line: Mapping[str, object]) -> Change:
    event = line["event"]
    return Change(
        seq=int(str(line["seq"])),
        generation=int(str(line["generation"])),
        jid=int(str(line["jid"])),
        old=None if event == "insert" else _row(line, "old_"),
        new=None if event == "delete" else _row(line, "new_"),
    )
