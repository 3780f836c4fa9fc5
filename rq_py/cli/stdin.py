"""``rqpy stdin``: prints the stdin of jobs."""

from __future__ import annotations

from rq_py.cli.streams import stream_command

command = stream_command("stdin", "Print what jobs read from their standard input.")
