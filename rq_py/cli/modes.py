"""The table of modes: their names, rq's abbreviations, what the overview says of each. Imports none."""

from __future__ import annotations


class Mode:
    """One mode; its command is ``rq_py.cli.<name>.command``."""

    def __init__(
        self, summary: str, abbreviations: tuple[str, ...] = (), *, makes_default_queue: bool = False
    ) -> None:
        self.summary = summary
        self.abbreviations = abbreviations
        #: Where no queue is named, the user's own is made on first use.
        self.makes_default_queue = makes_default_queue


#: Groups of modes for the overview: a heading, and the modes below it.
GROUPS: dict[str, dict[str, Mode]] = {
    "Queues and jobs": {
        "create": Mode("make a queue", ("c",)),
        "submit": Mode("add jobs: one command, lines, or YAML", ("s",), makes_default_queue=True),
        "list": Mode("show jobs, by state or jid", ("l", "ls")),
        "status": Mode("count jobs, their ages, times and exit statuses", ("t",)),
        "query": Mode("show the jobs that meet conditions, or an SQL WHERE clause", ("q",)),
        "update": Mode("change jobs that wait: priority, command, tag, hold ...", ("u",)),
        "resubmit": Mode("let jobs that do not run be run again", ("r", "re")),
        "touch": Mode("update the job with this command and tag, or submit it", ("to",)),
        "complete": Mode("say that human steps are done"),
        "delete": Mode("delete jobs that do not run", ("d", "rm")),
        "wait": Mode("wait until jobs have ended, and end as they did", ("w",)),
    },
    "What jobs read and wrote": {
        "stdin": Mode("print what jobs read", ("0",)),
        "stdout": Mode("print what jobs wrote", ("1",)),
        "stderr": Mode("print what jobs wrote to stderr", ("2",)),
        "stdin4": Mode("print the path of the stdin of jobs"),
        "stdout4": Mode("print the path of the stdout of jobs"),
        "stderr4": Mode("print the path of the stderr of jobs"),
        "tail": Mode("follow what jobs write", ("ta",)),
        "ioview": Mode("open the streams of jobs in an editor", ("io",)),
    },
    "Looking after a queue": {
        "configure": Mode("show or change the queue's settings", ("C",)),
        "snapshot": Mode("copy the jobs, to look at them without the lock", ("S",)),
        "backup": Mode("copy the whole queue, streams and all", ("b", "B")),
        "rotate": Mode("move jobs that have ended out of the queue", ("R",)),
        "doctor": Mode("say whether mount, locks and permissions can be trusted"),
        "recover": Mode("check the database, repair it, upgrade it"),
        "lock": Mode("run a command under the queue lock", ("L",)),
        "execute": Mode("run SQL on the database", ("e",)),
    },
    "This node's feeder": {
        "feed": Mode("take jobs from the queue and run them", ("f",), makes_default_queue=True),
        "start": Mode("feed in the background", makes_default_queue=True),
        "shutdown": Mode("let the feeder finish its jobs, then end it"),
        "stop": Mode("end the feeder and its jobs now"),
        "restart": Mode("replace the feeder; its jobs run on"),
        "pid": Mode("print the feeder's pid"),
        "feeder": Mode("describe the feeder"),
        "cron": Mode("keep a feeder running by cron or systemd"),
    },
    "Help": {
        "help": Mode("explain a mode", ("h", "H")),
        "completion": Mode("print the completion script of a shell"),
    },
}

MODES: dict[str, Mode] = {name: mode for group in GROUPS.values() for name, mode in group.items()}

_NAMES = {name: name for name in MODES} | {
    abbreviation: name for name, mode in MODES.items() for abbreviation in mode.abbreviations
}


def mode_named(word: str) -> str | None:
    """The name of the mode that ``word`` is, or is rq's abbreviation of; None if it is neither."""
    return _NAMES.get(word)
