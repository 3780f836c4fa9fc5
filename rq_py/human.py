"""Human steps: jobs that no feeder claims, because a person says that they are done."""

from __future__ import annotations

#: The ``kind`` of such a job. That of all others, which are commands, is not set.
HUMAN = "human"

#: The bit of the column ``waits`` that says: a person has to do it.
PERSON = 32

#: What ``waits`` must be by the row itself, for an UPDATE; {waits} is what it would be without a person.
WAITS_ANEW = f"(({{waits}}) & ~{PERSON}) | iif(kind IS '{HUMAN}', {PERSON}, 0)"


def waits_for_person(kind: str | None) -> int:
    """The column ``waits`` of a new job."""
    return PERSON if kind == HUMAN else 0
