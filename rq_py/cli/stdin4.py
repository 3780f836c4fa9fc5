"""``rqpy stdin4``: prints the path of the stdin of jobs."""

from __future__ import annotations

from rq_py.cli.streams import path_command

command = path_command("stdin", "Print the path of what jobs read from their standard input.")
