"""The path by which a job can call rqpy: what it finds in ``RQ``.

A job needs one executable file, so ``python -m rq_py`` will not do. The candidates, best first: the program
that this feeder was started with, the console script beside its interpreter, ``rqpy`` on the PATH, and
``bin/rqpy`` of a checkout. Where there is none of them (a bare ``python -m rq_py`` from a folder of
packages), RQ is not set, and the job must bring its own.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import rq_py


def find(called_as: str) -> str:
    """The absolute path of rqpy, given ``sys.argv[0]`` of the process that the user called; '' for none."""
    for candidate in _candidates(called_as):
        if candidate.name != "__main__.py" and candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    return ""


def _candidates(called_as: str) -> Iterator[Path]:
    if "/" in called_as:
        yield Path(os.path.abspath(called_as))
    elif found := shutil.which(called_as):
        yield Path(os.path.abspath(found))
    yield Path(sys.executable).parent / "rqpy"
    if found := shutil.which("rqpy"):
        yield Path(os.path.abspath(found))
    yield Path(rq_py.__file__).parent.parent / "bin" / "rqpy"
