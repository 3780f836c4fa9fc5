"""Hand-made evidence for the tests of the checker: what each party would have written, step by step."""

from __future__ import annotations

from dataclasses import replace

from tests.oracle.evidence import Change, Database, Evidence, Line, Place, Probe, Row, Submit

#: What the nodes of a story are.
BOOT = "boot-1"
TAG = "tag"


class Story:
    """Jobs on their way through a queue. Every verb appends a transition and changes the row."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.audit: list[Change] = []
        self.lines: list[Line] = []
        self.submits: list[Submit] = []
        self.rotations: list[Database] = []
        self.probes: list[Probe] = []
        self.integrity = "ok"

    def change(self, jid: int, **values: object) -> None:
        """Any transition, legal or not; the first one of a jid inserts it."""
        old = self.rows.get(jid)
        new = replace(old or Row(jid, TAG, "pending", 0), **values)  # type: ignore[arg-type]
        self.rows[jid] = new
        self.audit.append(Change(len(self.audit) + 1, 1, jid, old, new))

    def delete(self, jid: int) -> None:
        """The row goes."""
        self.audit.append(Change(len(self.audit) + 1, 1, jid, self.rows.pop(jid), None))

    def submit(
        self, *jids: int, tag: str = TAG, outcome: str = "acknowledged", restartable: bool = False
    ) -> None:
        """One submit, and its rows."""
        self.submits.append(Submit(outcome, tag, len(jids), jids if outcome == "acknowledged" else ()))
        for jid in jids:
            self.change(jid, tag=tag, restartable=restartable)

    def claim(self, jid: int, node: str = "n1", **values: object) -> None:
        """A feeder claims it."""
        attempt = self.rows[jid].attempt + 1
        token = f"token.{jid}.{attempt}"
        values = {"attempt": attempt, "token": token, "runner": node, "feeder": f"{node}.0"} | values
        self.change(jid, state="running", reason=None, exit_status=None, signal=None, **values)

    def start(self, jid: int, at: float, node: str = "n1", attempt: int | None = None) -> None:
        """The job writes that it begins."""
        self.line("start", jid, at, node, attempt)

    def end(self, jid: int, at: float, node: str = "n1", attempt: int | None = None, status: int = 0) -> None:
        """The job writes that it ends."""
        self.line("end", jid, at, node, attempt, status)

    def line(
        self,
        event: str,
        jid: int,
        at: float,
        node: str = "n1",
        attempt: int | None = None,
        status: int | None = None,
    ) -> None:
        """Any line of job.sh."""
        number = self.rows[jid].attempt if attempt is None else attempt
        self.lines.append(Line(event, jid, number, (node, BOOT), at, 4711, status))

    def finish(self, jid: int, exit_status: int | None = 0, signal: int | None = None) -> None:
        """The exit is recorded."""
        self.change(jid, state="finished", exit_status=exit_status, signal=signal, reason=None)

    def bury(self, jid: int, reason: str = "node_lost") -> None:
        """It is declared dead."""
        self.change(jid, state="dead", reason=reason)

    def release(self, jid: int) -> None:
        """It goes back to pending, released or buried."""
        self.change(jid, state="pending", token="", runner=None, feeder=None)

    def resubmit(self, jid: int) -> None:
        """A person wants it to run again."""
        self.change(jid, state="pending", token="", runner=None, feeder=None, exit_status=None)

    def run(self, jid: int, begin: float, node: str = "n1", seconds: float = 1.0, status: int = 0) -> None:
        """Claimed, started, ended and finished."""
        self.claim(jid, node)
        self.start(jid, begin, node)
        self.end(jid, begin + seconds, node, status=status)
        self.finish(jid, status)

    @property
    def evidence(self) -> Evidence:
        """All of it."""
        queue = Database(dict(self.rows), list(self.audit), self.integrity)
        return Evidence(queue, self.lines, self.submits, self.rotations, self.probes)


def place(node: str) -> Place:
    """Where a node of a story is."""
    return node, BOOT


def full() -> Story:
    """Everything that is allowed, at once."""
    story = Story()
    story.submit(1, 2, 3, 4)
    story.submit(5, 6, 7, tag="again", restartable=True)
    story.submit(8, tag="asked", outcome="unknown")
    story.submits.append(Submit("unknown", "never", 3))
    story.submits.append(Submit("failed", "refused", 3))
    story.run(1, 10.0, status=3)
    # Believed lost, and returned with its true exit.
    story.claim(2)
    story.start(2, 20.0)
    story.bury(2)
    story.end(2, 90.0)
    story.finish(2)
    # Never launched: released.
    story.claim(3)
    story.release(3)
    story.run(3, 30.0, "n2")
    story.claim(4)
    story.start(4, 11.0)
    story.bury(4, "runner_lost")
    # Restartable: its first attempt was ended, the second one is on another node.
    story.claim(5)
    story.start(5, 10.0)
    story.line("beat", 5, 15.0)
    story.release(5)
    story.run(5, 20.0, "n2")
    story.change(6, state="holding")
    story.change(6, state="pending")
    story.run(6, 40.0)
    story.run(7, 40.0)
    # Its shell could not begin.
    story.claim(8)
    story.change(8, state="finished", exit_status=126, reason="cannot open stdout")
    return story
