"""The shell script that runs one job: a pure function of the job and its queue. It starts nothing itself.

A waiting shell executes nothing before it holds its whole script (runner/shells.py). The streams are opened
first, and by the shell itself, so that a hanging file server holds up this one job only; then come the
environment, the directory and the command. What fails before the command ends the job with 126, "found but
cannot be executed" (POSIX XCU 2.8.2), and with the reason on its stderr.

The forms used work in dash, bash and ``bash --posix``: ``command exec`` with a failing redirection does not
end a POSIX shell at once, as the special built-in ``exec`` alone would (POSIX XCU 2.8.1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from rq_py.feeder import collecting
from rq_py.formats import listing
from rq_py.job import Job
from rq_py.queuedir import QueueDir

#: Bytes: Linux refuses to execute a program with a longer ``NAME=value``, MAX_ARG_STRLEN in execve(2).
LONGEST_VARIABLE = 128 * 1024 - 1

#: Characters: JSON writes each as 6 at most (12 for two surrogates), and the runner's line has 8 MiB.
LONGEST_SCRIPT = 1024 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What bash keeps read-only, what would change how the rest of the script is read, and what each shell
#: makes for itself (bash(1), "Shell Variables").
_NOT_HANDED_OVER = frozenset(
    {"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"}
    | {"POSIXLY_CORRECT"}
    | {"_", "SHLVL", "PWD", "OLDPWD"}
)
_PATHS = ("stdin", "stdout", "stderr", "data")


@dataclass(frozen=True, slots=True)
class Place:
    """Where jobs run: this node's view of the queue, and the user's side of it.

    ``queue`` is absolute. ``program`` is the rqpy that a job can call, '' for none. ``stream_umask`` is
    for the stream files, ``umask`` the user's own; None where each job's login shell sets it.
    """

    queue: QueueDir
    node: str
    program: str
    stream_umask: int
    umask: int | None

    @property
    def root(self) -> str:
        """The queue's path as a text."""
        return str(self.queue.path)


def for_launch(job: Job, place: Place) -> str:
    """The script of ``job``; where it cannot be run as it is, one that says why and ends with 126.

    A claimed job must come to an end of its own: refused and released it would be claimed again for ever.
    """
    try:
        script = _build(job, place)
    except (ValueError, AttributeError, TypeError, RecursionError):  # somebody else than rqpy wrote the row
        return refusal(job, place, "its env is not a JSON object of texts")
    if len(script) > LONGEST_SCRIPT:
        return refusal(
            job, place, f"it needs a script of {len(script)} characters: hand over fewer variables"
        )
    return script


def _build(job: Job, place: Place) -> str:
    return "\n".join(
        [
            "exec 3<&- 4<&-",  # the runner's pipe and this script: no job inherits them
            "unset go",
            *_streams(job, place),
            *_environment(job, place),
            *_directory(job, place),
            *([f"{collecting.reader(job, quote(f'{place.root}/stdout'))} |"] if job.collect else []),
            # The one copy of the command: a command of 64 KiB of quotes must still fit into one message.
            # The space is for bash, where a command that begins with a '-' would be an option of eval's.
            'eval " $RQ_COMMAND"',
            "",
        ]
    )


def refusal(job: Job, place: Place, why: str) -> str:
    """A script that says on the job's stderr ``why`` it cannot be run, and ends with 126."""
    lines = ["exec 3<&- 4<&-", *_streams(job, place), _complaint(job, why), "exit 126", ""]
    return "\n".join(lines)


def quote(text: str) -> str:
    """``text`` as one word of a shell. Shorter than shlex.quote for texts that are full of quotes."""
    return "'" + text.replace("'", "'\\''") + "'"


def _streams(job: Job, place: Place) -> list[str]:
    redirections = [
        f">{quote(f'{place.root}/stdout/{job.jid}')}",
        f"2>{quote(f'{place.root}/stderr/{job.jid}')}",
    ]
    if job.has_stdin:  # else the shell's own /dev/null stays
        redirections.insert(0, f"<{quote(f'{place.root}/stdin/{job.jid}')}")
    own = "$rq_umask" if place.umask is None else f"{place.umask:04o}"
    return [
        *(["rq_umask=$(umask)"] if place.umask is None else []),
        f"umask {place.stream_umask:04o}",
        f"command exec {' '.join(redirections)} || exit 126",
        f"umask {own}",
        *(["unset rq_umask"] if place.umask is None else []),
    ]


def _environment(job: Job, place: Place) -> list[str]:
    handed_over = json.loads(job.env) if job.env else {}
    lines = [
        f"export {name}={quote(value)}"
        for name, value in handed_over.items()
        if _may_be_handed_over(name) and _size(name, value) <= LONGEST_VARIABLE
    ]
    # After the handed-over variables, so that it stays first on a handed-over PATH as well.
    lines.append(f"export PATH={quote(str(place.queue.bin))}${{PATH:+:$PATH}}")
    lines += [
        f"export {name}={quote(value)}"
        for name, value in variables(job, place).items()
        if name != "RQ_COMMAND" and _size(name, value) <= LONGEST_VARIABLE
    ]
    lines.append(f"export RQ_COMMAND={quote(job.command)}")
    return lines


def _may_be_handed_over(name: str) -> bool:
    # A submitter's RQ_NODE or RQ_Q would lead the job astray on this node.
    is_own = name == "RQ" or name.startswith("RQ_")
    return bool(_NAME.fullmatch(name)) and not is_own and name not in _NOT_HANDED_OVER


def variables(job: Job, place: Place) -> dict[str, str]:
    """What a job is told about itself: RQ, RQ_Q, RQ_JOB and RQ_<FIELD> for every listed field that is set."""
    about_others = collecting.variables(job, place.queue)
    if collecting.has_long_list(job):
        job = job._replace(after=None)
    fields = listing.fields_of(job, None)
    values = {"RQ": place.program} if place.program else {}
    values |= {"RQ_Q": place.root, "RQ_JOB": _document(job, fields), **about_others}
    for name, value in fields.items():
        if name in ("attempts", "after"):
            continue  # lists: RQ_JOB holds them
        if name in _PATHS:
            text = f"{place.root}/{value}"
        elif name == "env":
            text = str(job.env)
        elif isinstance(value, bool):
            text = "true" if value else "false"
        else:
            text = str(value)
        values[f"RQ_{name.upper()}"] = text
    return values


def _document(job: Job, fields: Iterable[str]) -> str:
    """The job as ``list`` prints it; what makes it longer than a variable may be is left out."""
    text = f"---\n{next(listing.yaml_items([job]))}"
    if _size("RQ_JOB", text) <= LONGEST_VARIABLE:
        return text
    shown = list(fields)
    for left_out in ("after", "env", "command", "cwd", "tag"):
        shown = [name for name in shown if name != left_out]
        text = f"---\n{next(listing.yaml_items([job], shown))}"
        if _size("RQ_JOB", text) <= LONGEST_VARIABLE:
            return text
    return ""


def _directory(job: Job, place: Place) -> list[str]:
    if job.cwd is None:
        return [f'CDPATH= cd -- "${{HOME:-/}}" || {_failure(job, "cannot start in the home directory")}']
    if not job.cwd.startswith("/"):
        return [_failure(job, f"cannot start in {job.cwd}: not an absolute path")]
    why = f"cannot start in {job.cwd} on {place.node}: make it there, or submit with another --cwd"
    return [f"CDPATH= cd -- {quote(job.cwd)} || {_failure(job, why)}"]


def _failure(job: Job, why: str) -> str:
    return f"{{ {_complaint(job, why)}; exit 126; }}"


def _complaint(job: Job, why: str) -> str:
    return f"printf '%s\\n' {quote(f'rqpy: job {job.jid}: {why}')} >&2"


def _size(name: str, value: str) -> int:
    """The bytes of a variable, or as many as there are at most where that is short enough anyway."""
    most = len(name) + 1 + len(value) * 4  # UTF-8 has four bytes for a character at most
    return most if most <= LONGEST_VARIABLE else len(f"{name}={value}".encode("utf-8", "surrogateescape"))
