"""Writes the tables of docs/explanation/capacity.md, between the marks that the page has for each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.case import CannotRun
from bench.simulation import studies
from bench.simulation.costs import Costs
from bench.simulation.studies import JOB_SECONDS, MOST_AHEAD, NODES, POLICIES, Study
from bench.simulation.world import Figures
from bench.table import markdown, number

#: What a transaction holds the lock for, in seconds, where nobody has measured it on a mount yet.
WHAT_IF = (0.03, 0.1)
#: The share of the slots' time from which on a queue counts as large enough.
ENOUGH = 0.9

_TABLE = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Priced:
    """Costs with the name under which they stand in the tables, and the facts of their machine."""

    name: str
    costs: Costs
    machine: dict[str, object]

    @property
    def is_emulated(self) -> bool:
        """Whether QEMU emulated the processor, so that nothing real takes as long."""
        return str(self.machine.get("accelerator", "")).startswith("tcg")


def publish(
    path: Path, given: Sequence[Priced], say: Callable[[str], None], only: Sequence[str] | None = None
) -> None:
    """Write all tables, or ``only`` those, into the page at ``path``. Raises CannotRun for an unknown one."""
    text = path.read_text(encoding="utf-8")
    prices = [*given, *(_what_if(given[0], hold) for hold in WHAT_IF)]
    tables = {
        "costs": lambda: _costs(given),
        "grids": lambda: _grids([price for price in prices if not price.is_emulated]),
        "policies": lambda: _policies(given[0], prices[len(given)]),
        "ahead": lambda: _ahead(prices[len(given)]),
        "half-load": lambda: _half_load(prices),
    }
    marked = [match["name"] for match in _TABLE.finditer(text)]
    names = only or marked
    for name in names:
        if name not in tables or name not in marked:
            raise CannotRun(f"{path}: no table {name}: there are {' '.join(tables)}")
    for name in names:
        say(f"   {name}")
        lines = "\n".join(tables[name]())
        # Read anew: a table takes minutes, and somebody may have edited what is around it.
        text = path.read_text(encoding="utf-8")
        path.write_text(
            _TABLE.sub(lambda match: _put(match, name, lines), text),  # noqa: B023  (called at once)
            encoding="utf-8",
        )


def _put(match: re.Match[str], name: str, lines: str) -> str:
    return f"{match[1]}\n{lines}\n\n{match[3]}" if match["name"] == name else match[0]


def _what_if(base: Priced, hold: float) -> Priced:
    return Priced(f"if it were {hold * 1e3:.0f} ms", studies.priced(base.costs, hold), {})


def _costs(prices: Sequence[Priced]) -> Iterator[str]:
    rows = [
        (
            price.name,
            _where(price.machine),
            *(number(value * 1e3, 2) for value in _shown(price.costs)),
        )
        for price in prices
    ]
    head = ("", "where", "a transaction, ms", "one without a change", "a claim", "a finish", "a job's start")
    yield from markdown(head, rows, left=2)


def _where(machine: Mapping[str, object]) -> str:
    return str(machine.get("place") or f"{machine.get('cores')} cores, {machine.get('file_system')}")


def _shown(costs: Costs) -> tuple[float, ...]:
    return costs.fixed, costs.empty, costs.claim, costs.finish, costs.launch + costs.shell


def _grids(prices: Sequence[Priced]) -> Iterator[str]:
    """For each price: how much of the slots' time is used, by nodes and job length."""
    cells = [(nodes, seconds) for nodes in NODES for seconds in JOB_SECONDS]
    for price in prices:
        wanted = [
            Study(studies.backlog(nodes, seconds, price.costs), price.costs) for nodes, seconds in cells
        ]
        figures = dict(zip(cells, studies.simulate(wanted), strict=True))
        yield f"A transaction holds the lock for {price.costs.fixed * 1e3:.3g} ms ({price.name}):\n"
        head = ("nodes", *(_length(seconds) for seconds in JOB_SECONDS))
        rows = [
            (f"{nodes:,}", *(_cell(figures[nodes, seconds]) for seconds in JOB_SECONDS)) for nodes in NODES
        ]
        rows.append(("enough up to", *(_last_enough(figures, seconds) for seconds in JOB_SECONDS)))
        yield from markdown(head, rows)
        yield ""


def _cell(figures: Figures) -> str:
    return f"{figures.slots_used:.0%}, {number(figures.jobs_per_second, 1)}/s"


def _last_enough(figures: dict[tuple[int, float], Figures], seconds: float) -> str:
    """The most nodes of the grid up to which all have their slots at work."""
    last = "none"
    for nodes in NODES:
        if figures[nodes, seconds].slots_used < ENOUGH:
            break
        last = f"{nodes:,}"
    return f"**{last}**"


def _length(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds * 1e3:g} ms"


def _policies(local: Priced, mount: Priced) -> Iterator[str]:
    """Today's back-off and others, on a crowded local queue and on one too small for its nodes."""
    rows = []
    backlog = studies.backlog(64, 1.0, mount.costs)
    scenarios = [(studies.crowd(policy), backlog) for policy in POLICIES]
    wanted = []
    for policy, (crowd, overload) in zip(POLICIES, scenarios, strict=True):
        wanted.append(Study(crowd, local.costs))
        wanted.append(Study(studies.waiting_by(policy, overload), mount.costs))
    results = list(studies.simulate(wanted))
    for index, policy in enumerate(POLICIES):
        row = [policy.name]
        for figures in results[2 * index : 2 * index + 2]:
            row += [
                number(figures.wait_median * 1e3, 0),
                number(figures.wait_p99 * 1e3, 0),
                f"{figures.least_to_mean:.2f}",
                number(figures.tries_per_second, 0),
                f"{figures.lock_used:.0%}",
            ]
        rows.append(row)
    each = ("wait, median, ms", "99 of 100", "least feeder", "tries/s", "lock used")
    head = ("", *(f"{title}: {what}" for title in ("crowd", "overload") for what in each))
    yield from markdown(head, rows)


def _ahead(mount: Priced) -> Iterator[str]:
    """What if a feeder might have more work ahead."""
    cells = [(64, 0.1), (64, 1.0), (250, 1.0), (250, 10.0)]
    wanted = [
        Study(studies.backlog(nodes, seconds, mount.costs), mount.costs, {"MOST_SECONDS": most})
        for most in MOST_AHEAD
        for nodes, seconds in cells
    ]
    results = iter(list(studies.simulate(wanted)))
    head = ("at most ahead", *(f"{nodes} nodes, {_length(seconds)}" for nodes, seconds in cells))
    yield from markdown(
        head, [(f"{most:g} s", *(_cell(next(results)) for _ in cells)) for most in MOST_AHEAD]
    )


def _half_load(prices: Sequence[Priced]) -> Iterator[str]:
    """How long a job waits where half of the slots are free, and what the idle nodes do to the lock."""
    nodes_of, seconds = (16, 64, 250), 60.0
    wanted = [Study(studies.half_load(nodes, seconds), price.costs) for price in prices for nodes in nodes_of]
    results = iter(list(studies.simulate(wanted)))
    rows = []
    for price in prices:
        for nodes in nodes_of:
            figures = next(results)
            rows.append(
                (
                    price.name,
                    f"{nodes:,}",
                    number(figures.latency_median * 1e3, 0),
                    number(figures.latency_p99 * 1e3, 0),
                    number(figures.wait_p99 * 1e3, 0),
                    f"{figures.lock_used:.0%}",
                    number(figures.transactions_per_second, 1),
                )
            )
    what = ("submitted to started, median, ms", "99 of 100", "wait for the lock, 99 of 100, ms")
    head = ("", "nodes", *what, "lock used", "transactions/s")
    yield from markdown(head, rows)
