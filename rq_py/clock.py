"""Wall-clock times and durations as rqpy writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_text(seconds: float | None = None) -> str:
    """A time as ``2026-11-20 15:06:49.514387Z``: now, or ``seconds`` since the epoch."""
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds") + "Z"


def seconds_of(text: str) -> float:
    """The seconds since the epoch of a time that ``utc_text`` wrote. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


def duration_text(seconds: float) -> str:
    """A duration as rq prints it: ``00h00m12.30s``."""
    hundredths = max(round(seconds * 100), 0)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}h{minutes:02d}m{rest / 100:05.2f}s"
