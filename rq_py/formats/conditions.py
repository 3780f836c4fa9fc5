"""Simple conditions on the fields of a listing: ``tag=important priority!=6 command=~%job%``. No SQL."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from rq_py.errors import UsageError
from rq_py.formats.excerpt import shown
from rq_py.job import LISTED_FIELDS, State

#: What a condition compares with; None is "not set".
Operand = str | int | float | None

INTEGERS = frozenset({"jid", "priority", "pid", "exit_status", "signal", "attempt", "max_rss", "retries"})
REALS = frozenset({"elapsed", "user_cpu", "system_cpu", "timeout", "backoff"})
_FLAG = "restartable"
_FLAG_VALUES = {"true": 1, "yes": 1, "1": 1, "false": 0, "no": 0, "0": 0}

_CONDITION = re.compile(r"([A-Za-z_]+)(=~|!~|!=|=)(?!=)([^'\"`]*)", re.DOTALL)
_SPACES = re.compile(r"[ \t\r\n]+")
_WHOLE = re.compile(r"[-+]?[0-9]{1,19}")


class Condition(NamedTuple):
    """One condition: ``operator`` is ``=``, ``!=``, ``=~`` (matches, as SQL's LIKE) or ``!~``."""

    field: str
    operator: str
    operand: Operand


def read(text: str) -> list[Condition] | None:
    """The conditions in ``text``, all of which are to be met; None where it is anything else.

    A condition is a field, an operator and a value without spaces or quotes between or in them; the word
    ``and`` may stand between two. Raises UsageError for a field that a listing does not have, and for a value
    that the field cannot have.
    """
    words = [word for word in _SPACES.split(text) if word]
    matches = []
    for position, word in enumerate(words):
        match = _CONDITION.fullmatch(word)
        if match is not None:
            matches.append(match)
        elif word.lower() != "and" or position in (0, len(words) - 1) or words[position - 1].lower() == "and":
            return None
    return [_condition(*match.groups()) for match in matches] or None


def _condition(field: str, operator: str, value: str) -> Condition:
    """One condition, checked."""
    name = field.lower()
    if name not in LISTED_FIELDS:
        raise UsageError(f"{shown(field)}: no such field, there are {' '.join(LISTED_FIELDS)}")
    if operator in ("=~", "!~"):
        return Condition(name, operator, value)
    return Condition(name, operator, None if value == "" else _operand(name, value))


def _operand(field: str, value: str) -> Operand:
    """``value`` as what the field holds."""
    if field in INTEGERS:
        number = int(value) if _WHOLE.fullmatch(value) else None
        if number is None or not -(2**63) <= number < 2**63:
            raise UsageError(f"{field}: {shown(value)} is not a whole number of 64 bits")
        return number
    if field in REALS:
        try:
            real = float(value)
        except ValueError:
            real = math.nan
        if not math.isfinite(real):
            raise UsageError(f"{field}: {shown(value)} is not a number of seconds")
        return real
    if field == _FLAG:
        if value.lower() not in _FLAG_VALUES:
            raise UsageError(f"{field}: {shown(value)} is neither true nor false")
        return _FLAG_VALUES[value.lower()]
    if field == "state" and value not in set(State):
        raise UsageError(f"state: {shown(value)} is none of {' '.join(State)}")
    return value
