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
        "stdin": Mode("print what jobs read", ("0",)),
        "stdout": Mode("print what jobs wrote", ("1",)),
        "stderr": Mode("print what jobs wrote to stderr", ("2",)),
    },
    "This node's feeder": {
        "feed": Mode("take jobs from the queue and run them", ("f",), makes_default_queue=True),
        "start": Mode("feed in the background", makes_default_queue=True),
        "shutdown": Mode("let the feeder finish its jobs, then end it"),
        "stop": Mode("end the feeder and its jobs now"),
        "restart": Mode("replace the feeder; its jobs run on"),
        "pid": Mode("print the feeder's pid"),
        "feeder": Mode("describe the feeder"),
    },
    "Help": {
        "help": Mode("explain a mode", ("h",)),
    },
}

MODES: dict[str, Mode] = {name: mode for group in GROUPS.values() for name, mode in group.items()}

_NAMES = {name: name for name in MODES} | {
    abbreviation: name for name, mode in MODES.items() for abbreviation in mode.abbreviations
}


def mode_named(word: str) -> str | None:
    """The name of the mode that ``word`` is, or is rq's abbreviation of; None if it is neither."""
    return _NAMES.get(word)
