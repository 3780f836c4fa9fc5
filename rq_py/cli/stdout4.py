"""``rqpy stdout4``: prints the path of the stdout of jobs."""

from __future__ import annotations

from rq_py.cli.streams import path_command

command = path_command("stdout", "Print the path of what jobs write to their standard output.")
