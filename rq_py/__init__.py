"""rq_py: turn a shared directory into a compute cluster.

The names below are imported when they are first used (PEP 562), so that the runner, which is
started as ``python -m rq_py.runner``, loads neither sqlite3 nor any third-party package.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # as type checkers know it; the module typing would cost the runner a megabyte

if TYPE_CHECKING:
    from rq_py.errors import RqError
    from rq_py.job import Job, JobSpec, State
    from rq_py.queue import Queue

__all__ = ["Job", "JobSpec", "Queue", "RqError", "State", "__version__"]

_HOMES = {
    "Job": "rq_py.job",
    "JobSpec": "rq_py.job",
    "Queue": "rq_py.queue",
    "RqError": "rq_py.errors",
    "State": "rq_py.job",
}


def __getattr__(name: str) -> object:
    """Import ``name`` from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
