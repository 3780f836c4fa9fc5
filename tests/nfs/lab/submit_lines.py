"""Run on a node: submit each line of stdin as a job, all in one submit, and log what became of it.

submit_lines.py LOG QUEUE [OPTION...]: the options are those of ``rqpy submit``. Prints the outcome.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.oracle.submit import Log, submit

if __name__ == "__main__":
    log, queue, *options = sys.argv[1:]
    rqpy = [sys.executable, "-m", "rq_py"]
    print(submit(Log(Path(log)), rqpy, queue, sys.stdin.read().splitlines(), options).outcome)
