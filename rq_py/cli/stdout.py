"""``rqpy stdout``: prints the stdout of jobs."""

from __future__ import annotations

from rq_py.cli.streams import stream_command

command = stream_command("stdout", "Print what jobs wrote to their standard output.")
