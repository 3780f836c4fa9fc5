"""``rqpy stderr4``: prints the path of the stderr of jobs."""

from __future__ import annotations

from rq_py.cli.streams import path_command

command = path_command("stderr", "Print the path of what jobs write to their standard error.")
