"""What a job is: its fields, its five states and the table of legal transitions. No input, no output.

Annotations are evaluated here, for as texts NamedTuple would compile each of them: 1 % of a submit.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, TypedDict


class State(StrEnum):
    """The five states of rq. Everything else that keeps a job waiting is a condition, not a state."""

    PENDING = "pending"
    HOLDING = "holding"
    RUNNING = "running"
    FINISHED = "finished"
    DEAD = "dead"


#: What a node may be called: its name becomes part of file names.
NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

#: A jid is a positive 64-bit integer (https://www.sqlite.org/autoinc.html).
LARGEST_JID = 2**63 - 1

TERMINAL = frozenset({State.FINISHED, State.DEAD})

#: verb -> the transitions that it may make. ``bury`` takes a restartable job back to pending;
#: ``finish`` turns dead into finished only where the reason is ``node_lost`` and the attempt and
#: token are the same: the node was believed lost, and has returned with the job's exit.
TRANSITIONS: Mapping[str, frozenset[tuple[State, State]]] = {
    "hold": frozenset({(State.PENDING, State.HOLDING)}),
    "unhold": frozenset({(State.HOLDING, State.PENDING)}),
    "claim": frozenset({(State.PENDING, State.RUNNING)}),
    "complete": frozenset({(State.PENDING, State.FINISHED)}),
    "finish": frozenset({(State.RUNNING, State.FINISHED), (State.DEAD, State.FINISHED)}),
    "retry": frozenset({(State.RUNNING, State.PENDING)}),
    "release": frozenset({(State.RUNNING, State.PENDING)}),
    "bury": frozenset({(State.RUNNING, State.DEAD), (State.RUNNING, State.PENDING)}),
    "expire": frozenset({(State.PENDING, State.DEAD), (State.HOLDING, State.DEAD)}),
    "settle": frozenset({(State.PENDING, State.DEAD), (State.HOLDING, State.DEAD)}),
    "resubmit": frozenset({(State.FINISHED, State.PENDING), (State.DEAD, State.PENDING)}),
}


class Reason(StrEnum):
    """Why a job is dead, or ended without its command having run."""

    NODE_LOST = "node_lost"  # the node's lease ran out; may still become finished
    NODE_REBOOTED = "node_rebooted"  # the node came back with another boot id
    RUNNER_LOST = "runner_lost"  # the runner was killed; what was left of the job was ended
    STOPPED = "stopped"  # an operator stopped the feeder
    JOURNAL_LOST = "journal_lost"  # nothing proves that the job was not launched
    EXPIRED = "expired"  # its time was over before it was claimed
    DEPENDENCY = "dependency"  # what it is after has ended otherwise than it had to
    BACKUP = "backup"  # it ran when the backup was made in which it is


#: The reason of an attempt that was ended because it took longer than the job's timeout.
TIMED_OUT = "timeout"


class Conditions(TypedDict, total=False):
    """When a job is run, how often, and after which others, as keywords.

    ``not_before`` and ``expires`` are times in UTC, or such as ``+30m``; ``timeout`` (of one attempt) and
    ``backoff`` (before the first of ``retries``, then doubled) are seconds.
    ``after`` is jids, or texts JID:CONDITION; with ``collect`` the job reads what those jobs have written.
    Where a job with this ``key`` waits or runs already, that one is meant, and none is submitted.
    A ``kind`` of human is for one that a person completes; the command is what there is to do.
    """

    not_before: str | None
    expires: str | None
    timeout: float | None
    retries: int
    backoff: float | None
    after: Sequence[str | int] | str | int
    collect: bool
    key: str | None
    kind: str | None


class Job(NamedTuple):
    """One row of the table ``jobs``, immutable. Its order is the order of the columns.

    Times are UTC text, ``2026-11-20 15:06:49.514387Z``; ``elapsed``, ``user_cpu`` and ``system_cpu``
    are seconds; ``max_rss`` is bytes. ``runner`` is the node that ran the job (rq's word),
    ``required_runner`` the only node that may run it. ``attempt`` counts claims; ``token`` names
    the current claim ('' for none), ``feeder`` (``<node>.<uid>``) who made it. ``timeout`` is how long an
    attempt may take, ``backoff`` the pause before the first of ``retries``, both seconds.
    """

    jid: int
    priority: int
    state: State
    submitted: str
    started: str | None
    finished: str | None
    elapsed: float | None
    submitter: str
    runner: str | None
    required_runner: str | None
    has_stdin: bool
    has_data: bool
    pid: int | None
    exit_status: int | None
    signal: int | None
    reason: str | None
    attempt: int
    user_cpu: float | None
    system_cpu: float | None
    max_rss: int | None
    tag: str | None
    restartable: bool
    cwd: str | None
    env: str | None  # a JSON object of the variables handed over at submit
    command: str
    token: str
    feeder: str | None
    not_before: str | None = None
    expires: str | None = None
    timeout: float | None = None
    retries: int = 0
    backoff: float | None = None
    collect: bool = False  # its stdin is what the jobs that it is after have written to stdout
    after: str | None = None  # a JSON list of jids, or texts JID:CONDITION
    key: str | None = None  # at most one job that waits or runs has it
    kind: str | None = None  # human: a person completes it, and the command is what there is to do
    completed_by: str | None = None  # user@node
    note: str | None = None  # what was said when it was completed
    attempts: str | None = None  # a JSON list of how the attempts before the last one ended


#: The fields of a listing, in rq's order. ``stdin stdout stderr data`` are paths relative to the queue.
LISTED_FIELDS: tuple[str, ...] = (
    "jid",
    "priority",
    "state",
    "submitted",
    "started",
    "finished",
    "elapsed",
    "submitter",
    "runner",
    "required_runner",
    "stdin",
    "stdout",
    "stderr",
    "data",
    "pid",
    "exit_status",
    "signal",
    "reason",
    "completed_by",
    "note",
    "attempt",
    "user_cpu",
    "system_cpu",
    "max_rss",
    "attempts",
    "tag",
    "key",
    "kind",
    "restartable",
    "after",
    "collect",
    "not_before",
    "expires",
    "timeout",
    "retries",
    "backoff",
    "cwd",
    "env",
    "command",
)

#: The longest command in bytes of UTF-8. Linux refuses an environment string of 128 KiB
#: (MAX_ARG_STRLEN, execve(2)), and a job finds its command there twice, once inside RQ_JOB.
MAX_COMMAND_BYTES = 64 * 1024


_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


class JobSpec(NamedTuple):
    """What a submit asks for: the job before it has a jid. ``formats.jobspec`` checks it."""

    command: str
    priority: int = 0
    tag: str | None = None
    required_runner: str | None = None
    restartable: bool = False
    stage: bool = False  # enter as holding
    cwd: str | None = None
    env: Mapping[str, str] = _NO_VARIABLES
    stdin: str | None = None  # ``stdin/<jid>`` of the same queue, to be copied; never any other path
    data: str | None = None  # ``data/<jid>`` of the same queue, to be copied; never any other path
    not_before: str | None = None  # UTC text, as everywhere
    expires: str | None = None  # UTC text; a job that was not claimed until then is dead
    timeout: float | None = None  # seconds that an attempt may take
    retries: int = 0  # how often it is tried again when it has failed
    backoff: float | None = None  # seconds before the first of them, twice as many before each further
    after: Sequence[str | int] | str | int = ()  # 12, ``12:failed``, ``build:any``: a name in the same submit
    collect: bool = False  # its stdin is what these have written to stdout
    key: str | None = None  # where a job with this key waits or runs already, none is submitted
    kind: str | None = None  # human: the command is what a person is to do, and no feeder runs it
    name: str | None = None  # what ``after`` of others in the same submit calls it; not kept
