"""Measures how long the queue lock is waited for: times ``rqpy status`` over and over. Standard library only.

    python lock_prober.py --log FILE --queue QUEUE [--pause S] [--timeout S] [-- RQPY...]

It goes on until it is killed. A line of JSON in FILE for each probe: seconds (with the start of the program)
and exit status; 75 says that the lock was not had within the timeout.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> None:
    """Probe for ever."""
    parser = argparse.ArgumentParser(description="Measure how long the queue lock is waited for.")
    parser.add_argument("--log", type=Path, required=True, help="local to the node")
    parser.add_argument("--queue", required=True)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two probes")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds after which a probe gives up")
    parser.add_argument("rqpy", nargs="*", help="the command rqpy, behind --")
    options = parser.parse_args(arguments)
    rqpy = options.rqpy or [sys.executable, "-m", "rq_py"]
    node = os.environ.get("RQ_NODE") or os.uname().nodename
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    with options.log.open("a", encoding="ascii", buffering=1) as log:
        while True:
            begun = time.clock_gettime(time.CLOCK_BOOTTIME)
            words = [*rqpy, options.queue, "status", "--timeout", str(options.timeout)]
            done = subprocess.run(words, capture_output=True, check=False)
            seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - begun
            line = {
                "node": node,
                "boot": boot,
                "boottime": begun,
                "seconds": seconds,
                "status": done.returncode,
            }
            log.write(json.dumps(line) + "\n")
            time.sleep(options.pause)


if __name__ == "__main__":
    main(sys.argv[1:])
