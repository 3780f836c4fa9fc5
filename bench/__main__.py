"""The command line of bin/bench: which cases, how long, with whom; runs them and reports."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench import machine, page, results
from bench.case import FAILURES, CannotRun, Case
from bench.cases.everything import CASES
from bench.lab import Lab, node_name
from bench.leftovers import end_users_of
from bench.outcome import Outcome
from bench.peers.everybody import BUILT_IN, PEERS
from bench.peers.peer import Peer
from bench.results import Document
from bench.table import case_table, value_text, word
from bench.tools import Tools
from bench.turns import reason_of, take_turns

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENTS = REPOSITORY / "docs" / "explanation"
#: The load average from which on others work on this machine, and the figures say less.
BUSY = 1.0


def main() -> None:
    """Run what the command line asks for; always ends with 0 when it came to the end: it is a report."""
    options = _parser().parse_args()
    if options.list:
        for case in CASES:
            say(f"{case.name:14} {case.title}")
        return
    cases = _chosen(options.cases, short=options.short)
    os.environ["RQ_NODE"] = node_name()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are ended on the way out
    names = _peers(options.peers, short=options.short)
    is_whole = not (options.cases or options.short or options.peers or options.scale != 1)
    out = options.out or (DOCUMENTS if is_whole else None)
    with (
        tempfile.TemporaryDirectory(prefix="rqpy-bench-", dir=options.place) as scratch,
        ExitStack() as stack,
    ):
        Path(scratch).chmod(0o755)
        facts = machine.facts(Path(scratch))
        document = (
            results.load(out / f"{page.NAME}.yml", facts) if out else results.load(Path(scratch, "-"), facts)
        )
        if is_whole:
            document["cases"] = {}
        peers = _install(names, Tools(options.cache, say), document)
        lab = Lab(Path(scratch), peers, options.short, options.cache, options.scale)
        stack.callback(_end_leftovers, Path(scratch))
        for case in cases:
            rounds = options.rounds or (case.short_rounds if options.short else case.rounds)
            document["cases"][case.name] = _run(case, lab, rounds)
            if out:
                page.publish(out, CASES, document)
    _report(cases, document)
    if out:
        say(f"\nwritten: {out}/{page.NAME}.md .svg .yml")


def say(line: str) -> None:
    """Tell the user."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bin/bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="cases to run; all unless given")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument(
        "--short", action="store_true", help="the promised ratios in about a minute, few peers"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="how often everybody has a turn")
    parser.add_argument(
        "--peers", metavar="A,B", help="with whom to compare; all, and in a short run the limits"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, metavar="N", help="divide all sizes by N, for a trial"
    )
    parser.add_argument("--in", dest="place", metavar="DIR", help="where to work: the disk that is measured")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the page goes; docs/explanation for a whole run"
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rqpy-bench"
    parser.add_argument(
        "--cache", type=Path, default=cache, metavar="DIR", help=f"programs go here [{cache}]"
    )
    return parser


def _chosen(names: Sequence[str], *, short: bool) -> list[Case]:
    known = {case.name: case for case in CASES}
    for name in names:
        if name not in known:
            sys.exit(f"bin/bench: no case {name}: see bin/bench --list")
    return [known[name] for name in names] or [case for case in CASES if case.short_rounds or not short]


def _peers(given: str | None, *, short: bool) -> list[str]:
    known = [peer.name for peer in PEERS]
    if given is None:
        return [*BUILT_IN] if short else known
    names = given.split(",")
    for name in names:
        if name not in known:
            sys.exit(f"bin/bench: no peer {name}: {' '.join(known)}")
    return [name for name in known if name in names or name in BUILT_IN]


def _install(names: Sequence[str], tools: Tools, document: Document) -> list[Peer]:
    """Have all peers here; those that cannot be had stand in the document with the reason."""
    peers = []
    for kind in PEERS:
        if kind.name not in names:
            continue
        peer = kind()
        entry: dict[str, object] = {"name": peer.name, "title": peer.title}
        entry |= {"is_limit": peer.is_limit, "keeps": peer.keeps, "note": peer.note}
        try:
            peer.version = peer.install(tools)
        except FAILURES as error:
            entry["missing"] = reason_of(error)
            say(f"\n!!! {peer.name} CANNOT TAKE PART: {entry['missing']}\n")
        else:
            entry["version"] = peer.version
            peers.append(peer)
        document["peers"][peer.name] = entry
    return peers


def _run(case: Case, lab: Lab, rounds: int) -> dict[str, object]:
    """Run a case; whatever it started is ended."""
    say(f"\n## {case.name}: {case.title}")
    lab.rounds = rounds
    before = machine.load()
    if before > BUSY:
        say(f"!!! load average {before}: others work on this machine, do not quote these figures")
    with ExitStack() as stack:
        try:
            contestants = case.contestants(lab, stack)
        except FAILURES as error:
            outcome = Outcome(case, rounds, missing={"all": reason_of(error)})
        else:
            outcome = take_turns(case, contestants, rounds, lambda line: say(f"!!! {line}"))
    result: dict[str, object] = outcome.document()
    result |= {"measured": datetime.now(UTC).strftime("%Y-%m-%d"), "load": [before, machine.load()]}
    for line in case_table(case, result):
        say(line)
    return result


def _end_leftovers(scratch: Path) -> None:
    """End what is left of all peers; there should be nothing."""
    for process in end_users_of(f"{scratch}/", f"/{node_name()}-"):
        say(f"!!! left running, now ended: {process}")


def _report(cases: Sequence[Case], document: Document) -> None:
    """The promises of the cases that were run, as lines."""
    say("\n## Promises")
    for case in cases:
        for promise in document["cases"][case.name].get("promises", []):
            state = word(promise).strip("*")
            say(f"{state:12} {case.name:12} {promise['promise']}: {value_text(promise)}")
    for name, entry in document["peers"].items():
        if "missing" in entry:
            say(f"{'MISSING':12} {name}: {entry['missing']}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except CannotRun as error:
        sys.exit(f"bin/bench: {error}")
