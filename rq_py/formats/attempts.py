"""The earlier attempts of a job in a listing: read from the row, written as YAML."""

from __future__ import annotations

from collections.abc import Sequence

from rq_py.formats import scalars

#: One attempt: what is known of how it ended, in the order of a listing.
Attempt = dict[str, object]

_TIMES = frozenset({"started", "finished"})


def attempts_of(text: str | None) -> list[Attempt] | None:
    """The attempts in the column, each with what is set; None where there is none."""
    if not text:
        return None
    import json  # rarely needed, and submit imports this module

    found = json.loads(text)
    return [{name: value for name, value in one.items() if value is not None} for one in found] or None


def yaml_of(attempts: Sequence[Attempt]) -> str:
    """The attempts as a list nested in a job."""
    lines = []
    for one in attempts:
        for number, (name, value) in enumerate(one.items()):
            lines.append(f"\n    {'- ' if number == 0 else '  '}{name}: {_scalar(name, value)}")
    return "".join(lines)


def _scalar(name: str, value: object) -> str:
    return scalars.time(value) if name in _TIMES and isinstance(value, str) else scalars.scalar(value)
