"""``rqpy doctor``: says whether a queue, or a directory for one, can be trusted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from rq_py.cli.context import Context
from rq_py.cli.output import output_option, write_document
from rq_py.cli.printing import print_line
from rq_py.errors import UsageError, WaitTimeout

#: Seconds for which another node is waited for unless --wait says otherwise, and at most.
_WAIT, _LONGEST_WAIT = 60.0, 43200.0


@click.command(epilog="\b\nExample:\n  $ rqpy q doctor")
@click.option("--peer", is_flag=True, help="Try locks and files together with doctor --peer on another node.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0, max=_LONGEST_WAIT),
    metavar="SECONDS",
    help="How long to wait for the other node (exit status 124 then); 60 unless given.",
)
@output_option
@click.pass_obj
def command(context: Context, peer: bool, wait: float | None, output: str) -> int:
    """Say whether this directory, a queue or one in which a queue shall be made, can be trusted with jobs.

    It looks at the mount, at space, permissions, clocks and this node, and tries locks (against a second
    process), fsync, rename and more in a scratch folder that is removed again. Each finding has a verdict,
    ok, advice, unknown or unsafe, and says what to do. The exit status is 1 where one is unsafe.

    Whether locks hold between two nodes is tried when both run doctor --peer on it at the same time.
    """
    from rq_py.doctor.examination import examine

    if wait is not None and not peer:
        raise UsageError("--wait is for --peer: give both, or none")
    seconds = (_WAIT if wait is None else wait) if peer else None
    path = Path(os.path.abspath(context.queue_path))
    if peer and sys.stderr is not None and sys.stderr.isatty():
        print_line(f"waiting up to {seconds:.3g} s for: rqpy {path} doctor --peer, on another node")
    report = examine(path, peer_seconds=seconds)
    write_document(report.document(), output)
    if report.is_unsafe:
        return 1
    if report.peer_missing:
        raise WaitTimeout(f"{path}: {report.peer_missing}")
    return 0
