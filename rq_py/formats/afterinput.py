"""What a user says a job is after: read, checked, and brought into the form of ``afters``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rq_py.errors import InputError
from rq_py.formats.afters import CONDITIONS, After, text_of
from rq_py.formats.excerpt import shown
from rq_py.job import LARGEST_JID

#: What a job may be called within one submit; a name that could be a jid is none.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")

_ONE = re.compile(rf"(?:([1-9][0-9]{{0,18}})|({NAME.pattern}))(?::([a-z]*))?", re.ASCII)


def parse(value: object) -> tuple[str, ...]:
    """What a field, or an option, says; commas separate several. Each comes once, in its shortest form.

    Raises InputError.
    """
    if value is None:
        return ()
    if isinstance(value, str | int):
        value = [value]
    if not isinstance(value, Sequence):
        raise InputError(f"after: {shown(value)} is neither a jid nor a list of jids")
    found: dict[int | str, str] = {}
    for item in value:
        if not isinstance(item, str | int) or isinstance(item, bool):
            raise InputError(f"after: {shown(item)} is neither JID nor JID:CONDITION")
        # Python writes no number of thousands of digits.
        if isinstance(item, int) and not 0 < item <= LARGEST_JID:
            raise InputError(f"after: {shown(item)} is no jid")
        for word in str(item).split(","):
            if word := word.strip():
                other = _parse_one(word)
                if found.setdefault(other.job, other.condition) != other.condition:
                    raise InputError(f"after: {other.job} is given with two conditions")
    return tuple(text_of(job, condition) for job, condition in found.items())


def _parse_one(word: str) -> After:
    """One jid or name with its condition."""
    match = _ONE.fullmatch(word)
    if match is None:
        raise InputError(f"after: {shown(word)} is neither JID nor JID:CONDITION")
    jid, name, condition = match.groups()
    if condition is not None and condition not in CONDITIONS:
        raise InputError(f"after: {shown(word)}: the condition is none of {' '.join(CONDITIONS)}")
    if jid is not None and int(jid) > LARGEST_JID:
        raise InputError(f"after: {shown(word)} is no jid")
    return After(int(jid) if jid is not None else name, condition or CONDITIONS[0])


def parse_name(value: object) -> str:
    """What a job is called within its submit. Raises InputError."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise InputError(
            f"name: {shown(value)} does not begin with a letter, or is not of letters, digits and _.-"
        )
    return value
