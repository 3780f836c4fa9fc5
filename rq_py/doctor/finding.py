"""Findings: what a check has found out, how bad that is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is, from the best to the worst."""

    OK = "ok"
    ADVICE = "advice"  # the promises are kept, but something could be better
    UNKNOWN = "unknown"  # it could not be tried
    UNSAFE = "unsafe"  # a promise would be broken


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found: ``what`` is a line for people, ``do`` another, empty where all is well."""

    check: str
    verdict: Verdict
    what: str
    do: str = ""

    def as_mapping(self) -> dict[str, object]:
        """The finding as it is printed."""
        said: dict[str, object] = {"check": self.check, "verdict": str(self.verdict), "what": self.what}
        return said | ({"do": self.do} if self.do else {})


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, what)


def advice(check: str, what: str, do: str) -> Finding:
    """It works, and ``do`` would make it better."""
    return Finding(check, Verdict.ADVICE, what, do)


def unknown(check: str, what: str, do: str) -> Finding:
    """It could not be tried."""
    return Finding(check, Verdict.UNKNOWN, what, do)


def unsafe(check: str, what: str, do: str) -> Finding:
    """A queue must not be used like this."""
    return Finding(check, Verdict.UNSAFE, what, do)


def worst(findings: Iterable[Finding]) -> Verdict:
    """The worst verdict among the findings."""
    order = list(Verdict)
    return max((finding.verdict for finding in findings), key=order.index, default=Verdict.OK)
