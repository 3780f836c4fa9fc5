"""Time and peak memory of whole processes: a client of meter.py, which starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.case import CannotRun

METER = Path(__file__).with_name("meter.py")


@dataclass(frozen=True)
class Ended:
    """A process that ended well: seconds, of them CPU, when (monotonic clock), and its peak RSS in bytes."""

    seconds: float
    cpu: float
    end: float
    peak: float


class Meter:
    """Runs programs one after the other, in a ``with`` block."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(METER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def run(
        self, argv: Sequence[str], environment: Mapping[str, str] | None = None, source: str = "/dev/null"
    ) -> Ended:
        """Run a program with ``source`` as its stdin; raises CannotRun when it fails."""
        request = [list(argv), dict(os.environ if environment is None else environment), source]
        if self._process.stdin is None or self._process.stdout is None:
            raise CannotRun("the meter has no pipes")
        self._process.stdin.write(json.dumps(request) + "\n")
        answer = self._process.stdout.readline()
        if not answer:
            raise CannotRun(f"the meter has ended: {' '.join(argv)}")
        seconds, cpu, end, peak, status = json.loads(answer)
        if status:
            raise CannotRun(f"exit status {status}: {' '.join(argv)}")
        return Ended(seconds, cpu, end, peak)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
