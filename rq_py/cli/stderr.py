"""``rqpy stderr``: prints the stderr of jobs."""

from __future__ import annotations

from rq_py.cli.streams import stream_command

command = stream_command("stderr", "Print what jobs wrote to their standard error.")
