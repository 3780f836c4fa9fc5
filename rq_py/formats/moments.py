"""Times and durations as people write them: ``+30m``, ``2026-11-20 15:06:49Z``, ``1h30m``, ``90``."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from rq_py.clock import utc_text

_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([smhdw])")
_PARTS = re.compile(rf"(?:{_PART.pattern})+")
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

#: The longest duration in seconds, a hundred years: what is added to a time must stay one.
LONGEST = 100 * 365 * 86400.0


def seconds(text: str) -> float:
    """The duration in seconds: a number of them, or numbers of s m h d w. Raises ValueError."""
    if _NUMBER.fullmatch(text):
        found = float(text)
    elif _PARTS.fullmatch(text):
        found = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    else:
        raise ValueError(text)
    if found > LONGEST:
        raise ValueError(text)
    return found


def moment(text: str, now: float | None = None) -> str:
    """The time as ``clock.utc_text`` writes it: ISO 8601, UTC unless it says otherwise, or + and a duration.

    ``now`` is in seconds since the epoch. Raises ValueError.
    """
    if text.startswith("+"):
        return utc_text((time.time() if now is None else now) + seconds(text[1:]))
    found = datetime.fromisoformat(text)
    try:
        return utc_text((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except OverflowError:
        raise ValueError(text) from None
