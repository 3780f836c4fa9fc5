"""What things cost, in seconds, and on what: the input of the simulation, measured here or in a lab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

import yaml

from bench.case import CannotRun
from bench.statistic import significant


@dataclass(frozen=True)
class Costs:
    """Seconds each. Those of a transaction count from the lock that was had to the lock that was let go.

    ``fixed`` is what a transaction that changes something costs whatever it carries (open, begin, commit,
    check, close), ``empty`` one that changes nothing. ``cpu_share`` (0 to 1) of both is work of the machine's
    processor, the rest waits for the disk or the server. What a job adds is work of the processor: ``claim``,
    ``finish``, ``begin`` (one that was claimed ahead was launched) and ``submit``.

    ``attempt`` is a failed try for the lock, ``poll`` an idle feeder's look at the journal, ``renewal`` one
    of a node's lease. ``tick`` and ``job`` are the feeder's work around a transaction, once and for each job;
    ``launch`` is the runner's for a job, ``shell`` that of the job's own shell, ``program`` that of a job
    that is more than the shell itself.

    They are of a mount where the queue ``is_shared``: there the program waits for the lock in another way.
    """

    fixed: float
    empty: float
    cpu_share: float
    claim: float
    finish: float
    begin: float
    submit: float
    attempt: float
    poll: float
    renewal: float
    tick: float
    job: float
    launch: float
    shell: float
    program: float
    is_shared: bool

    @classmethod
    def load(cls, path: Path) -> tuple[Self, dict[str, object]]:
        """The costs that ``save`` has written, maybe in a lab, and their machine. Raises CannotRun."""
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            names = {field.name for field in fields(cls)} - {"is_shared"}
            seconds = {name: float(document["costs"][name]) for name in names}
            return cls(**seconds, is_shared=_truth(document["is_shared"])), dict(document["machine"])
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            reason = f"{path}: no file of costs: {error!r}: bin/simulate --measure FILE writes one"
            raise CannotRun(reason) from error

    def save(self, path: Path, machine: Mapping[str, object]) -> None:
        """Write them, with what is known of the ``machine`` that they are of."""
        document = {"machine": dict(machine), "is_shared": self.is_shared, "costs": self.rounded()}
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
        path.write_text("# Written by bin/simulate --measure; seconds\n" + text, encoding="utf-8")

    def rounded(self) -> dict[str, float]:
        """The figures without the noise behind the third digit."""
        figures = asdict(self)
        del figures["is_shared"]
        return {name: significant(value, 3) for name, value in figures.items()}


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"is_shared: {value!r}: neither true nor false")
    return value
