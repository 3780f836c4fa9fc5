"""A value as an error message shows it."""

from __future__ import annotations

#: How much of a value is shown.
CHARACTERS = 60


def shown(value: object) -> str:
    """A value for an error message: one short line of printable characters."""
    try:
        text = ascii(value) if not isinstance(value, str) or not value.isprintable() else repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, a list in a list in a list ...
        text = f"({type(value).__name__}, too large to be shown)"
    return text if len(text) <= CHARACTERS else text[:CHARACTERS] + "..."
