"""All cases, in the order of the report."""

from __future__ import annotations

from bench.case import Case
from bench.cases import (
    bulk,
    busy,
    claim,
    crowd,
    drain,
    durability,
    idle,
    latency,
    limits,
    many,
    million,
    nfs,
    wholeprocess,
)

CASES: tuple[Case, ...] = (
    *drain.CASES,
    *wholeprocess.CASES,
    *bulk.CASES,
    *latency.CASES,
    *claim.CASES,
    *many.CASES,
    *idle.CASES,
    *busy.CASES,
    *crowd.CASES,
    *nfs.CASES,
    *durability.CASES,
    *limits.CASES,
    *million.CASES,
)
